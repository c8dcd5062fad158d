"""The workers of `weir monitor`."""
