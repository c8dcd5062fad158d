"""Kafka in and out: broker, event contract, feature windows, feature log, the exactly-once loop."""
