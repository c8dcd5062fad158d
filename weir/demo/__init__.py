"""The demo: everything that Weir does, in one command on one machine."""
