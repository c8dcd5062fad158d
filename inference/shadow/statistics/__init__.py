"""Statistics that hold however often one looks: functions over counts and columns; see the docs.

No Kafka, no clock and no settings here: `docs/statistics.md` says what enters them, and when.
"""
