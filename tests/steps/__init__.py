"""The steps of a cycle, those that are tested by themselves."""
