"""The local broker: one node of Apache Kafka itself, for development and tests.

A user who has a cluster sets ``bootstrap_servers`` and never needs this package.
"""

from streams.broker.broker import BrokerStatus, LocalBroker
from streams.broker.errors import BrokerError
from streams.broker.settings import BrokerSettings

__all__ = ["BrokerError", "BrokerSettings", "BrokerStatus", "LocalBroker"]
