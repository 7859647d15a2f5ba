"""The atlas: what models of a given size and token budget score on a benchmark, before any training."""
