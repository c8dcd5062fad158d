"""From data to a registered model, from a model to its data, and what it says of an archive."""
