"""Stories that the demo tells: Weir's own commands, one after the other, on a stream."""
