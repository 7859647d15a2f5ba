"""neuneu-2: a Gaussian process over runs and boosted trees on all evidence."""
