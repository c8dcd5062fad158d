"""The topics of Weir, and how they are made."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from time import monotonic, sleep
from typing import Annotated, Literal, get_args

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic
from pydantic import Field, model_validator

from streams.base.errors import WeirError
from streams.base.section import Section
from streams.kafka.authorization import AuthorizationError, is_denial

logger = logging.getLogger(__name__)

Role = Literal[
    "events",
    "scores",
    "feature_log",
    "dead_letters",
    "labels",
    "snapshots",
    "explanations",
    "control",
]
ROLES: tuple[Role, ...] = get_args(Role)
SCORER_ROLES = tuple(role for role in ROLES if role != "explanations")
"""Of the topics that a scorer reads and writes; those who read what it writes have their own."""
_FOLLOWING: tuple[Role, ...] = ("scores", "feature_log", "explanations")
"""What is written there goes to the partition of the record that it is about."""

Name = Annotated[str, Field(pattern=r"^[a-zA-Z0-9._-]+$", max_length=249)]
"""What Kafka takes as the name of a topic."""

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
_CONTROL_CONFIG = {"cleanup.policy": "compact"}


class TopicSettings(Section):
    """The ``[topics]`` section: names, and what a topic gets that `weir` has to make.

    Attributes:
        replication_factor: -1 means the cluster's own default.
        config: further settings of the topics that are made, by role, such as
            ``scores = {"retention.ms" = "604800000"}``.
    """

    events: Name = "weir.events"
    scores: Name = "weir.scores"
    feature_log: Name = "weir.feature-log"
    dead_letters: Name = "weir.dead-letters"
    labels: Name = "weir.labels"
    snapshots: Name = "weir.snapshots"
    control: Name = "weir.control"
    explanations: Name = "weir.explanations"
    partitions: int = Field(default=4, ge=1)
    replication_factor: int = -1
    config: dict[Role, dict[str, str]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _all_different(self) -> "TopicSettings":
        roles: dict[str, Role] = {}
        for role in ROLES:
            other = roles.setdefault(self.name(role), role)
            if other != role:
                raise ValueError(
                    f"{other} and {role} have one name, {self.name(role)!r}: what is written to "
                    "one would be read as the other; give each a topic of its own"
                )
        return self

    def name(self, role: Role) -> str:
        """The name of the topic that plays a role."""
        name: str = getattr(self, role)
        return name


class TopicError(WeirError):
    """A topic is missing, or its shape does not fit."""


def partitions_of(admin: AdminClient, names: Iterable[str]) -> dict[str, int]:
    """Number of partitions of each of these topics that exists."""
    known = admin.list_topics(timeout=15).topics
    return {
        name: len(known[name].partitions)
        for name in names
        if name in known and known[name].error is None
    }


def partition_counts(admin: AdminClient, topics: TopicSettings) -> dict[Role, int]:
    """Number of partitions of each topic that exists, by role."""
    names = {role: topics.name(role) for role in ROLES}
    counts = partitions_of(admin, names.values())
    return {role: counts[name] for role, name in names.items() if name in counts}


def ensure_topics(
    admin: AdminClient, topics: TopicSettings, roles: Sequence[Role] = ROLES
) -> list[str]:
    """Make the topics that are missing of some roles, `events` among them; return their names.

    Answers go to the partition of their event, so their topics get as many partitions as
    ``events`` has.

    Raises:
        TopicError: a topic can't be made, or one of answers has fewer partitions than the events.
        AuthorizationError: a topic is missing, or hidden from us, and we may not make it.
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
        counts = wait_until_known(admin, [topics.events])
        as_many = [role for role in missing if role != "control"]
        made += _make(admin, topics, as_many, counts[topics.events])
    if "control" in missing:
        # One partition: what is said there has an order.
        made += _make(admin, topics, ["control"], 1)
    if made:
        logger.info("made topics %s", ", ".join(made))
    counts = wait_until_known(admin, [topics.name(role) for role in roles])
    _check_following(topics, "events", roles, counts)
    return made


def ensure_beside(
    admin: AdminClient, topics: TopicSettings, source: Role, roles: Sequence[Role]
) -> list[str]:
    """Make the topics of some roles that are missing, with as many partitions as `source` has.

    Raises:
        TopicError: there is no topic `source`, one can't be made, or one that follows `source` has
            fewer partitions.
        AuthorizationError: a topic is missing, or hidden from us, and we may not make it.
    """
    counts = partitions_of(admin, [topics.name(source)])
    if not counts:
        raise TopicError(
            f"there is no topic {topics.name(source)!r}: make it with `weir topics`, or start "
            "`weir score`"
        )
    made = ensure_roles(admin, topics, roles, counts[topics.name(source)])
    counts |= wait_until_known(admin, [topics.name(role) for role in roles])
    _check_following(topics, source, roles, counts)
    return made


def ensure_roles(
    admin: AdminClient, topics: TopicSettings, roles: Sequence[Role], partitions: int
) -> list[str]:
    """Make the topics of some roles that are missing, with so many partitions.

    Raises:
        TopicError: one can't be made.
        AuthorizationError: a topic is missing, or hidden from us, and we may not make it.
    """
    names = [topics.name(role) for role in roles]
    known = partitions_of(admin, names)
    missing = [role for role in roles if topics.name(role) not in known]
    if not missing:
        return []
    made = _make(admin, topics, missing, partitions)
    wait_until_known(admin, names)
    return made


def _check_following(
    topics: TopicSettings, source: Role, roles: Sequence[Role], counts: Mapping[str, int]
) -> None:
    """Refuse topics that have no partition for some of what is written to them."""
    given = counts[topics.name(source)]
    for name in (topics.name(role) for role in roles if role in _FOLLOWING):
        if counts[name] < given:
            raise TopicError(
                f"topic {name!r} has {counts[name]} partitions, and {topics.name(source)!r} has "
                f"{given}: give it at least as many, such as with kafka-topics.sh --alter --topic "
                f"{name} --partitions {given}"
            )


def _make(
    admin: AdminClient, topics: TopicSettings, roles: Sequence[Role], partitions: int
) -> list[str]:
    """Make topics; the names of those that were not there."""
    configs = {}
    for role in roles:
        config = {}
        if role in ("events", "labels"):
            # Replayed history may be years old by its timestamps; deleting it is the user's choice.
            config = {"retention.ms": _FOREVER}
        elif role == "snapshots":
            config = _SNAPSHOT_CONFIG
        elif role == "control":
            config = _CONTROL_CONFIG
        configs[topics.name(role)] = config | topics.config.get(role, {})
    return make_topics(admin, configs, partitions, topics.replication_factor)


def make_topics(
    admin: AdminClient,
    configs: Mapping[str, Mapping[str, str]],
    partitions: int,
    replication_factor: int,
) -> list[str]:
    """Make topics that take large records; the names of those that were not there.

    Args:
        configs: each topic's further settings, by its name.

    Raises:
        TopicError: one can't be made.
        AuthorizationError: we may not make one, or see it.
    """
    wanted = [
        NewTopic(
            name,
            num_partitions=partitions,
            replication_factor=replication_factor,
            config={"max.message.bytes": _LARGE_MESSAGES, **config},
        )
        for name, config in configs.items()
    ]
    if not wanted:
        return []
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
        raise AuthorizationError(denied)
    return made


def wait_until_known(admin: AdminClient, names: Sequence[str]) -> dict[str, int]:
    """Partitions of all these topics, once they are known: a broker may take a moment for new ones.

    Raises:
        TopicError: some are not known for long.
    """
    deadline = monotonic() + _KNOWN_WITHIN_S
    while True:
        counts = partitions_of(admin, names)
        unknown = [name for name in names if name not in counts]
        if not unknown:
            return counts
        if monotonic() > deadline:
            raise TopicError(
                f"the cluster does not know {', '.join(unknown)} yet, which it has made: "
                "see whether its brokers are well"
            )
        sleep(_AGAIN_S)
