"""The local broker: one node of Apache Kafka itself, for development and tests.

A user who has a cluster sets ``bootstrap_servers`` and never needs this package.
"""

from weir.broker.broker import BrokerStatus, LocalBroker
from weir.broker.errors import BrokerError
from weir.broker.settings import BrokerSettings

__all__ = ["BrokerError", "BrokerSettings", "BrokerStatus", "LocalBroker"]
