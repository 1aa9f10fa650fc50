"""Keys at rest: the region's master key and a key-encryption key for each agency and label."""
