"""What is installed beside the package."""
