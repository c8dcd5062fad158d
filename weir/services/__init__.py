"""Long-running processes: what they are built of, their HTTP port, signals, supervision."""
