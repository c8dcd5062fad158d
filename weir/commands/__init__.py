"""One file per command group of `weir`."""
