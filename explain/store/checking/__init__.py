"""Verifying a store: its anchors, its chains, and what was done where one does not fit."""
