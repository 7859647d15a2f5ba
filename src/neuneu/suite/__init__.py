"""Small language models trained at home."""
