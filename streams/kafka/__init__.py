"""Kafka without transactions: client settings, topics, ACLs, authorization, consuming,
publishing, lag, the control topic, and what is wrong with a connection.
"""
