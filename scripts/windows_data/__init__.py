"""Reads what Wine and mingw-w64 know about Windows' DLLs, and makes one data file of it."""
