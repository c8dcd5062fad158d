"""Engines, model packages, training, registry, policy, evaluation and the scorer."""
