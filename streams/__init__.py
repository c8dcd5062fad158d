"""Kafka in and out: event contract, feature windows, dead letters, exactly-once loops.

The folders are floors, each resting on those before it; `tests/test_rooms.py` lists them.
"""
