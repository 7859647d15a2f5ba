"""Which cells, which score."""
