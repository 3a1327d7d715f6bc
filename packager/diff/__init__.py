"""What differs between two files, trees or archives, down to the field."""
