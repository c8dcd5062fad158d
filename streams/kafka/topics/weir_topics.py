"""The topics of Weir, and how they are made."""

import logging
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, get_args

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic
from pydantic import Field, model_validator

from streams.base.section import Duration, Section
from streams.kafka.authorization import AuthorizationError, is_denial
from streams.kafka.topics.topic_partitions import (
    TopicError,
    partitions_of,
    wait_until_known,
    widen_topics,
)

logger = logging.getLogger(__name__)

Role = Literal[
    "events",
    "scores",
    "feature_log",
    "dead_letters",
    "labels",
    "snapshots",
    "explanations",
    "shadow_scores",
    "shadow_evidence",
    "comparisons",
    "drift_counts",
    "drift_state",
    "drift",
    "performance_state",
    "retraining",
    "retraining_state",
    "control",
    "reports",
    "positions",
]
ROLES: tuple[Role, ...] = get_args(Role)
_OF_OTHERS = (
    *("explanations", "shadow_scores", "shadow_evidence", "comparisons"),
    *("drift_counts", "drift_state", "drift", "performance_state"),
    *("retraining", "retraining_state"),
)
SCORER_ROLES = tuple(role for role in ROLES if role not in _OF_OTHERS)
"""Of the topics that a scorer reads and writes; those who read what it writes have their own."""
FOLLOWING: tuple[Role, ...] = (
    *("scores", "feature_log", "explanations", "shadow_scores", "shadow_evidence"),
    "performance_state",
)
"""What is written there goes to the partition of the record that it is about; shadow scores go to
the one that the event's id says, evidence to that of its shadow scores, and what is known of
performance to that of the feature log."""

Name = Annotated[str, Field(pattern=r"^[a-zA-Z0-9._-]+$", max_length=249)]
"""What Kafka takes as the name of a topic."""

_LARGE_MESSAGES = "16777216"
_LARGEST_INPUT = "2097152"
"""Bytes of a batch, as it is sent, in the topics that strangers write: packed by gzip it may unpack
to a thousand times as much, all of which a reader holds."""
STATE_CONFIG = {
    "cleanup.policy": "compact",
    # A value is superseded soon: small segments, cleaned early, keep a start short.
    "segment.bytes": "67108864",
    "min.cleanable.dirty.ratio": "0.1",
}
"""Of a topic of what is kept by key, and written again and again."""
_SNAPSHOT_CONFIG = STATE_CONFIG | {"delete.retention.ms": "3600000"}
_CONTROL_CONFIG = {"cleanup.policy": "compact", "max.message.bytes": "131072"}
_COUNTS_CONFIG = {"retention.ms": "604800000"}
"""What was counted is looked at within seconds; a week is for a monitor that was away."""
_POSITIONS_CONFIG = {
    "cleanup.policy": "compact",
    # Each transaction supersedes the one before, and a start reads all that is left.
    "segment.bytes": "4194304",
    "min.cleanable.dirty.ratio": "0.1",
}
_STRANGERS: tuple[Role, ...] = ("events", "labels")
_INPUT_CONFIG = {
    "max.message.bytes": _LARGEST_INPUT,
    # Retention counts from a record's timestamp. By its sender's, replayed history is years old and
    # gone at once, and what is stamped in the future stays for as long.
    "message.timestamp.type": "LogAppendTime",
}
_RETAINED: tuple[Role, ...] = (
    *_STRANGERS,
    *("scores", "feature_log", "dead_letters", "explanations", "shadow_scores", "comparisons"),
)
_ONE_PARTITION: tuple[Role, ...] = (
    *("control", "reports", "positions", "comparisons"),
    *("drift_counts", "drift_state", "drift", "retraining", "retraining_state"),
)
"""Of what is said there, the order counts; or there is little of it."""


class TopicSettings(Section):
    """The ``[topics]`` section: names, and what a topic gets that `weir` has to make.

    Attributes:
        replication_factor: -1 means the cluster's own default.
        retention: how long records of events and what is made of them stay in topics that are
            made. It has to reach as far as the windows look back, and a stop of the scorer besides.
        config: further settings of the topics that are made, by role, such as
            ``scores = {"retention.ms" = "604800000"}``; they win.
    """

    events: Name = "weir.events"
    scores: Name = "weir.scores"
    feature_log: Name = "weir.feature-log"
    dead_letters: Name = "weir.dead-letters"
    labels: Name = "weir.labels"
    snapshots: Name = "weir.snapshots"
    control: Name = "weir.control"
    reports: Name = "weir.reports"
    explanations: Name = "weir.explanations"
    shadow_scores: Name = "weir.shadow-scores"
    shadow_evidence: Name = "weir.shadow-evidence"
    comparisons: Name = "weir.comparisons"
    drift_counts: Name = "weir.drift-counts"
    drift_state: Name = "weir.drift-state"
    drift: Name = "weir.drift"
    performance_state: Name = "weir.performance-state"
    retraining: Name = "weir.retraining"
    retraining_state: Name = "weir.retraining-state"
    positions: Name = "weir.positions"
    partitions: int = Field(default=4, ge=1)
    replication_factor: int = -1
    retention: Duration = Field(default=90 * 86_400_000, gt=0)
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
    ``events`` has, also where they are there with fewer.

    Raises:
        TopicError: a topic can't be made.
        AuthorizationError: a topic is missing, hidden from us or too narrow, and we may not change
            that.
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
        single = [role for role in missing if role in _ONE_PARTITION]
        as_many = [role for role in missing if role not in _ONE_PARTITION]
        made += _make(admin, topics, as_many, counts[topics.events])
        made += _make(admin, topics, single, 1)
    if made:
        logger.info("made topics %s", ", ".join(made))
    wait_until_known(admin, [topics.name(role) for role in roles])
    _widen_following(admin, topics, "events", roles)
    return made


def ensure_beside(
    admin: AdminClient, topics: TopicSettings, source: Role, roles: Sequence[Role]
) -> list[str]:
    """Make the topics of some roles that are missing, with as many partitions as `source` has.

    One that follows `source` and has fewer partitions gets as many.

    Raises:
        TopicError: there is no topic `source`, or one can't be made.
        AuthorizationError: a topic is missing, hidden from us or too narrow, and we may not change
            that.
    """
    counts = partitions_of(admin, [topics.name(source)])
    if not counts:
        raise TopicError(
            f"there is no topic {topics.name(source)!r}: make it with `weir topics`, or start "
            "`weir score`"
        )
    as_many = [role for role in roles if role not in _ONE_PARTITION]
    made = ensure_roles(admin, topics, as_many, counts[topics.name(source)])
    made += ensure_roles(admin, topics, [role for role in roles if role in _ONE_PARTITION], 1)
    _widen_following(admin, topics, source, roles)
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


def _widen_following(
    admin: AdminClient, topics: TopicSettings, source: Role, roles: Sequence[Role]
) -> None:
    """Give topics that have no partition for some of what is written to them as many as `source`.

    Raises:
        AuthorizationError: we may not.
    """
    following = [topics.name(role) for role in roles if role in FOLLOWING]
    given = wait_until_known(admin, [topics.name(source)])[topics.name(source)]
    widen_topics(admin, following, given, f"{topics.name(source)!r} has them")


def _make(
    admin: AdminClient, topics: TopicSettings, roles: Sequence[Role], partitions: int
) -> list[str]:
    """Make topics; the names of those that were not there."""
    configs = {}
    for role in roles:
        config: dict[str, str] = {}
        if role in _RETAINED:
            config = {"retention.ms": str(topics.retention)}
            config |= _INPUT_CONFIG if role in _STRANGERS else {}
        elif role in ("shadow_evidence", "drift_state", "performance_state", "retraining_state"):
            config = STATE_CONFIG
        elif role == "drift_counts":
            config = _COUNTS_CONFIG
        elif role == "snapshots":
            config = _SNAPSHOT_CONFIG
        elif role in ("control", "reports"):
            config = _CONTROL_CONFIG
        elif role in ("drift", "retraining"):
            config = {"cleanup.policy": "compact"}
        elif role == "positions":
            config = _POSITIONS_CONFIG
        configs[topics.name(role)] = config | topics.config.get(role, {})
    return make_topics(admin, configs, partitions, topics.replication_factor)


def make_topics(
    admin: AdminClient,
    configs: Mapping[str, Mapping[str, str]],
    partitions: int,
    replication_factor: int,
) -> list[str]:
    """Make topics; the names of those that were not there.

    Args:
        configs: each topic's settings, by its name; by default it takes large records.

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
