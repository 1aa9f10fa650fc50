"""KMS: an agency's own keys, which are used here and never leave."""
