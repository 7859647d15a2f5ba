"""What training runs measured: the curve table, its tasks and its readers."""
