"""Restarts of the broker under running scorers, by hand: ``python -m tests.restarts``."""
