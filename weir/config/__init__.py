"""Settings: `weir.toml` and the environment, composed of each room's sections."""
