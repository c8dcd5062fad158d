"""Telling broken data from a changed world: units, missing values, stuck fields, silence."""
