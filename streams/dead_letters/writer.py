"""Records for the dead letters, as a part of a transaction or by themselves."""

from collections.abc import Collection, Iterable

from streams.dead_letters.letter import dead_letter
from streams.events.rejection import Rejected
from streams.kafka.message import Message
from streams.kafka.records.publisher import Publisher
from streams.transactions.outcome import Outgoing

_MAX_BYTES = 1_000_000
"""Below what a topic takes that others have made: the broker's refusal would void the transaction,
and the same one again, for ever."""


def dead_letters_of(topic: str, bad: Iterable[tuple[Message, Rejected]], now_ms: int) -> Outgoing:
    """A dead letter for each rejected record; any partition of the topic."""
    letters = [dead_letter(message, rejected, now_ms, _MAX_BYTES) for message, rejected in bad]
    return Outgoing(
        topic=topic,
        values=[letter.value for letter in letters],
        keys=[letter.key for letter in letters],
        partitions=[-1] * len(letters),
        headers=[letter.headers for letter in letters],
    )


def publish_dead_letters(
    publisher: Publisher, topic: str, bad: Collection[tuple[Message, Rejected]], now_ms: int
) -> None:
    """Write a dead letter for each rejected record, outside of a transaction.

    Raises:
        PublishError: one did not arrive.
    """
    if not bad:
        return
    out = dead_letters_of(topic, bad, now_ms)
    for value, key, headers in zip(out.values, out.keys, out.headers or (), strict=True):
        publisher.send(out.topic, value, key, headers=headers)
    publisher.flush()
