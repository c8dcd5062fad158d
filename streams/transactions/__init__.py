"""Kafka transactions: records and input offsets that become visible together or not at all."""
