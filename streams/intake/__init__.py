"""Intake: consumed records decoded, queued per partition and merged by event time."""
