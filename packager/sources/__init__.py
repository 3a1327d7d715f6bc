"""Getting upstream sources: origins, verification, the store that keeps them, and safe unpacking."""
