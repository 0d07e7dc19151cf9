"""The steps of a cycle, in its order: read, look at the live queue, apply, show."""
