"""Normalisers of file formats other than PE: pure functions over bytes."""
