"""Specifications: what to build, as data, read once into frozen typed values."""
