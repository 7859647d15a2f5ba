"""One module a format, each → CurveTable."""
