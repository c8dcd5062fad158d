"""The entity stage: the windows of one entity."""
