"""How long topics keep records."""

from collections.abc import Iterable

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

_TIMEOUT_S = 15.0
_FOREVER = -1


def retention_of(admin: AdminClient, topics: Iterable[str]) -> dict[str, int | None]:
    """Milliseconds for which each topic keeps records, None for ever.

    Left out are compacted topics, those that are not there, and those whose settings we may not
    see.
    """
    names = {ConfigResource(ResourceType.TOPIC, topic): topic for topic in topics}
    found: dict[str, int | None] = {}
    if not names:
        return found
    for resource, asked in admin.describe_configs(list(names), request_timeout=_TIMEOUT_S).items():
        try:
            config = asked.result(_TIMEOUT_S)
        except KafkaException:
            continue
        if "delete" in config["cleanup.policy"].value:
            kept = int(config["retention.ms"].value)
            found[names[resource]] = None if kept == _FOREVER else kept
    return found
