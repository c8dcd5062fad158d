"""Batches that can't be read: a consumer that passes them, and says which they were."""
