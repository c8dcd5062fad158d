"""Hyperparameter search: settings tried on folds, one trial after the other or many at once."""
