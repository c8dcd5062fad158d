"""What people do with a store: read, hold, purge, redact."""
