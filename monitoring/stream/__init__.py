"""What happens to the stream itself, whatever the model: silence, dead letters, adversaries."""
