"""The staged worker: its loop, its tasks, snapshots of stages, and migration to new features."""
