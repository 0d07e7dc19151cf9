"""What is installed beside the program. Not part of the installed package."""
