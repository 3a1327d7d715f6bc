"""Which DLLs and functions a Windows program needs, and where each would be found."""
