"""NeuNeu as published, its ablations and its probes."""
