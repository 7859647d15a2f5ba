"""What checkpoints' token losses look like."""
