"""Drift of each feature and answer against a reference: evidence, effect, and since when."""
