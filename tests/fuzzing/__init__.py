"""Mutated inputs over every reader: `make fuzz`; a quick leg runs with the tests."""
