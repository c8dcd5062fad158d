"""Traces through Kafka's headers: read, carried along, and told to a collector of OpenTelemetry's.

Only `tracer` and `counted_exporter` import the SDK, which is there where ``[tracing]`` is used.
"""
