"""One module a format; each reads files into a ReadResult: a curve table and a report of what was read."""
