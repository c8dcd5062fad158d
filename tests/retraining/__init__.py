"""Kills of the retraining controller and its jobs, by hand: ``python -m tests.retraining``."""
