"""Forecasts of a table's curves: the one act of asking, and the one schema of what was answered."""
