"""Dead letters: writing what was rejected, reading it, sending it back, purging it."""
