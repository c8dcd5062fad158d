"""The topics of Weir, and how they are made."""

import logging
from collections.abc import Sequence
from time import monotonic, sleep
from typing import Literal, get_args

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic
from pydantic import Field

from streams.denied import DeniedError, is_denial
from streams.section import Section

logger = logging.getLogger(__name__)

Role = Literal["events", "scores", "feature_log", "dead_letters", "labels", "snapshots"]
ROLES: tuple[Role, ...] = get_args(Role)

_KNOWN_WITHIN_S = 15.0
_AGAIN_S = 0.05
_LARGE_MESSAGES = "16777216"
_FOREVER = "-1"
_SNAPSHOT_CONFIG = {
    "cleanup.policy": "compact",
    # A snapshot is superseded within minutes: small segments, cleaned early, free its place soon.
    "segment.bytes": "67108864",
    "min.cleanable.dirty.ratio": "0.1",
    "delete.retention.ms": "3600000",
}


class TopicSettings(Section):
    """The ``[topics]`` section: names, and what a topic gets that `weir` has to make.

    Attributes:
        replication_factor: -1 means the cluster's own default.
        config: further settings of the topics that are made, by role, such as
            ``scores = {"retention.ms" = "604800000"}``.
    """

    events: str = "weir.events"
    scores: str = "weir.scores"
    feature_log: str = "weir.feature-log"
    dead_letters: str = "weir.dead-letters"
    labels: str = "weir.labels"
    snapshots: str = "weir.snapshots"
    partitions: int = Field(default=4, ge=1)
    replication_factor: int = -1
    config: dict[Role, dict[str, str]] = Field(default_factory=dict)

    def name(self, role: Role) -> str:
        """The name of the topic that plays a role."""
        name: str = getattr(self, role)
        return name


class TopicError(Exception):
    """A topic is missing, or its shape does not fit."""


def partition_counts(admin: AdminClient, topics: TopicSettings) -> dict[Role, int]:
    """Number of partitions of each topic that exists."""
    known = admin.list_topics(timeout=15).topics
    return {
        role: len(known[topics.name(role)].partitions)
        for role in ROLES
        if topics.name(role) in known and known[topics.name(role)].error is None
    }


def ensure_topics(
    admin: AdminClient, topics: TopicSettings, roles: Sequence[Role] = ROLES
) -> list[str]:
    """Make the topics that are missing of some roles, `events` among them; return their names.

    Answers go to the partition of their event, so ``scores`` and ``feature_log`` get as many
    partitions as ``events`` has.

    Raises:
        TopicError: a topic can't be made, or has fewer partitions than the events.
        DeniedError: a topic is missing, or hidden from us, and we may not make it.
        KafkaException: the cluster failed.
    """
    known = partition_counts(admin, topics)
    missing = [role for role in roles if role not in known]
    made = []
    if "events" in missing:
        # First: it may be there already, made just now and not known everywhere, with other counts.
        made += _make(admin, topics, ["events"], topics.partitions)
        missing.remove("events")
    if missing:
        counts = _wait_until_known(admin, topics, ["events"])
        made += _make(admin, topics, missing, counts["events"])
    if made:
        logger.info("made topics %s", ", ".join(made))
    counts = _wait_until_known(admin, topics, roles)
    events = counts["events"]
    for role in (each for each in roles if each in ("scores", "feature_log")):
        if counts[role] < events:
            raise TopicError(
                f"topic {topics.name(role)!r} has {counts[role]} partitions, and "
                f"{topics.events!r} has {events}: give it at least as many"
            )
    return made


def _make(
    admin: AdminClient, topics: TopicSettings, roles: Sequence[Role], partitions: int
) -> list[str]:
    """Make topics; the names of those that were not there."""
    wanted = []
    for role in roles:
        settings = {"max.message.bytes": _LARGE_MESSAGES}
        if role in ("events", "labels"):
            # Replayed history may be years old by its timestamps; deleting it is the user's choice.
            settings["retention.ms"] = _FOREVER
        elif role == "snapshots":
            settings |= _SNAPSHOT_CONFIG
        wanted.append(
            NewTopic(
                topics.name(role),
                num_partitions=partitions,
                replication_factor=topics.replication_factor,
                config=settings | topics.config.get(role, {}),
            )
        )
    made, denied = [], []
    for name, future in admin.create_topics(wanted, operation_timeout=15).items():
        try:
            future.result()
            made.append(name)
        except KafkaException as error:
            if is_denial(error.args[0]):
                denied.append(f"Describe on topic {name!r} or, if it is not there, Create")
            elif error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise TopicError(f"can't make topic {name!r}: {error.args[0].str()}") from error
    if denied:
        raise DeniedError(denied)
    return made


def _wait_until_known(
    admin: AdminClient, topics: TopicSettings, roles: Sequence[Role]
) -> dict[Role, int]:
    """Partitions of all topics, once these are known: a broker may take a moment for new ones."""
    deadline = monotonic() + _KNOWN_WITHIN_S
    while True:
        counts = partition_counts(admin, topics)
        unknown = [topics.name(role) for role in roles if role not in counts]
        if not unknown:
            return counts
        if monotonic() > deadline:
            raise TopicError(
                f"the cluster does not know {', '.join(unknown)} yet, which it has made: "
                "see whether its brokers are well"
            )
        sleep(_AGAIN_S)
