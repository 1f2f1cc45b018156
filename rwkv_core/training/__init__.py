"""A trainer small enough to read."""
