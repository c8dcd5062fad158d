"""From data to a registered model, from a model back to its data, and what it says of an archive."""
