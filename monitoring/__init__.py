"""Watching the stream: drift, broken data, performance, and what the people on call look at."""
