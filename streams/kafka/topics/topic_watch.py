"""What a topic is at present: its id and its partitions; and noticing that either has changed.

An offset means something for one topic of one id. A topic that was deleted and made anew under its
name has another id, and Kafka's client reads it on from the old offset where it is long enough.
"""

import logging
from collections.abc import Iterable, Mapping
from threading import Event, Thread
from time import monotonic
from typing import NamedTuple

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from streams.base.errors import HISTORY_MISSING, WeirError
from streams.kafka.client import KafkaSettings

logger = logging.getLogger(__name__)

_LOOK_S = 1.0
_STALE_S = 3.0
_TIMEOUT_S = 10.0
_NOW_S = 1.0
_NOT_THERE = {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.TOPIC_AUTHORIZATION_FAILED}


class PositionLostError(WeirError):
    """Where reading was is no place in the topic any more; the message names place and choice."""

    exit_code = HISTORY_MISSING


class TopicState(NamedTuple):
    """What a topic is at a moment.

    Attributes:
        topic_id: given by the cluster when the topic was made; no other topic ever has it.
        partitions: how many.
    """

    topic_id: str
    partitions: int


def topic_states(
    admin: AdminClient, names: Iterable[str], timeout_s: float = _TIMEOUT_S
) -> dict[str, TopicState]:
    """What these topics are; those that do not exist, or that we may not see, are left out.

    Raises:
        KafkaException: the cluster does not say.
    """
    wanted = list(names)
    asked = admin.describe_topics(TopicCollection(wanted), request_timeout=timeout_s)
    states = {}
    for name in wanted:
        try:
            found = asked[name].result()
        except KafkaException as error:
            if error.args[0].code() in _NOT_THERE:
                continue
            raise
        states[name] = TopicState(str(found.topic_id), len(found.partitions))
    return states


class TopicWatch:
    """Looks at some topics every second, in a thread.

    Args:
        known: what they were when their positions were looked up.
        written: names of further topics, of which only that they exist counts.

    Attributes:
        gone: names of those that do not exist at present.
    """

    def __init__(
        self, kafka: KafkaSettings, known: Mapping[str, TopicState], written: Iterable[str] = ()
    ) -> None:
        self._admin = AdminClient(kafka.client_config())
        self._known = dict(known)
        self._seen = dict(known)
        self._names = known.keys() | set(written)
        self._looked_at = monotonic()
        self._closed = Event()
        self.gone: frozenset[str] = frozenset()
        Thread(target=self._watch, name="topic watch", daemon=True).start()

    def check(self) -> bool:
        """Whether a topic has got partitions since the start, or since `accept`.

        A process that was suspended looks first, so that it reads nothing by what is long past.

        Raises:
            PositionLostError: a topic was deleted and made anew.
        """
        if monotonic() - self._looked_at > _STALE_S:
            self.look(_NOW_S)
            self._looked_at = monotonic()  # where the cluster does not say, nothing comes either
        for name, state in self._seen.items():
            if state.topic_id != self._known[name].topic_id:
                raise PositionLostError(
                    f"topic {name!r} was deleted and made anew while it was read, so the offsets "
                    "of the old one mean nothing in it: stop whatever deletes topics, then start "
                    "again; the start says what can be done"
                )
        return bool(self.grown())

    def grown(self) -> dict[str, tuple[int, int]]:
        """How many partitions each topic had that has got some, and has now."""
        return {
            name: (self._known[name].partitions, state.partitions)
            for name, state in self._seen.items()
            if state.partitions > self._known[name].partitions
        }

    def accept(self) -> None:
        """The new partitions are being read."""
        self._known |= self._seen

    def look(self, timeout_s: float = _TIMEOUT_S) -> None:
        """Look now, and not in a second; does nothing where the cluster does not say."""
        try:
            seen = topic_states(self._admin, self._names, timeout_s)
        except KafkaException as error:
            logger.debug("can't look at the topics: %s", error.args[0].str())
            return
        gone = frozenset(self._names - seen.keys())
        for name in sorted(gone - self.gone):
            logger.error(
                "topic %r does not exist any more, or may not be seen: nothing is answered until "
                "it does again; `weir topics` makes Weir's own topics",
                name,
            )
        self.gone = gone
        self._seen = {name: seen[name] for name in self._known.keys() & seen.keys()}
        self._looked_at = monotonic()

    def close(self) -> None:
        """Look no more."""
        self._closed.set()

    def _watch(self) -> None:
        while not self._closed.wait(_LOOK_S):
            self.look()
