"""Writing records: from flagged events of the feature log to canonical bytes, and again later."""
