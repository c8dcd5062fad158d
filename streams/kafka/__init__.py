"""Kafka without transactions: how clients are made, whether the cluster is there and lets us,
how partitions are named, what is committed, and the lag.
"""
