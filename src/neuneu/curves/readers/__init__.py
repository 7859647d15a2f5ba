"""One module a format; each turns files into rows and registers itself (reader.py); formats.py finds all."""
