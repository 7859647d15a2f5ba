"""Evidence → forecast."""
