"""Scores from designs."""
