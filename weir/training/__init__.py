"""From data to a registered model, and from a model back to its data."""
