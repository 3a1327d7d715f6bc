"""Tests of launcher/; its Python runs here as it does in the bundle."""
