"""Reading and normalising PE files (Windows programs and DLLs) as bytes, on any system."""
