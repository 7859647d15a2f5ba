"""Rank runs; stop or go on."""
