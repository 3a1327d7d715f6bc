"""Portable, bit-for-bit reproducible Windows bundles of Python applications, built on Linux."""

__version__ = "0.1.0"
