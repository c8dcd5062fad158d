"""What spans say of an event, in OpenTelemetry's own terms where it has some."""


def event_attributes(
    topic: str, partition: int, offset: int, model: str, decision: str
) -> dict[str, str | int]:
    """Where an event stands, what answered it, and how it was decided."""
    return {
        **topic_attributes(topic),
        "messaging.destination.partition.id": str(partition),
        "messaging.kafka.offset": offset,
        "weir.model": model,
        "weir.decision": decision,
    }


def topic_attributes(topic: str) -> dict[str, str | int]:
    """Which topic it is about."""
    return {"messaging.system": "kafka", "messaging.destination.name": topic}
