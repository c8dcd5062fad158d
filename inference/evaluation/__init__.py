"""Evaluation: detection metrics of scores against labels, from files or from the topics."""
