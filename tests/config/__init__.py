"""The configuration: what a file may say, and what is told about one that may not."""
