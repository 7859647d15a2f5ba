"""LC-PFN: a network that has learned from made-up learning curves to go on with any curve."""
