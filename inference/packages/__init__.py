"""Model packages: the folder of a model, its thresholds and drift reference, the registry."""
