"""LIME as the `lime` package 0.2.0.1 computes it on the same random stream, in less time."""
