"""Scores from design decisions, before a run starts."""
