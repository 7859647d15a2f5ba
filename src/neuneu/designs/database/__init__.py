"""The design database."""
