"""Whether a model is fit to become champion: what was found of it, and the gates before that."""
