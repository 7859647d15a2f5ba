"""Evidence: what a forecaster may look at; where a context ends, which curves are asked."""
