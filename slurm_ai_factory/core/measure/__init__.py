"""What was delivered, to whom, out of what, and what that means for the promise. Pure."""
