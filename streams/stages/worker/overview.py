"""What runs where: the stages of a topology, and which worker has which partitions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from streams.features.plan import FeaturePlan
from streams.kafka.authorization import AuthorizationError, is_denial
from streams.kafka.topics.weir_topics import TopicSettings
from streams.loop.rivals import split_client_id
from streams.stages.common.names import StageTopics
from streams.stages.common.split import StagedPlan

_TIMEOUT_S = 15.0


@dataclass(frozen=True)
class Stage:
    """One stage.

    Attributes:
        name: ``score``; or ``route``, ``entity``, ``join and score``.
        reads: the topic, of which any worker may have any partition.
        writes: topics.
        state: whose windows it keeps, one entity's or several; empty for none.
        features: what it computes.
    """

    name: str
    reads: list[str]
    writes: list[str]
    state: list[str]
    features: list[str]


@dataclass(frozen=True)
class Worker:
    """A member of the group.

    Attributes:
        name: of the worker, see `streams.loop.settings.LoopSettings.worker_name`.
        host: where it runs.
        partitions: what it has, topic to numbers.
    """

    name: str
    host: str
    partitions: dict[str, list[int]]


def fused_stages(plan: FeaturePlan, topics: TopicSettings) -> list[Stage]:
    """The one stage of the fused topology."""
    labels = [topics.labels] if plan.reads_labels else []
    return [
        Stage(
            "score",
            [topics.events, *labels],
            [topics.scores, topics.feature_log, topics.dead_letters],
            [entity.entity for entity in plan.entities],
            list(plan.names),
        )
    ]


def staged_stages(plan: StagedPlan, topics: TopicSettings, stages: StageTopics) -> list[Stage]:
    """The stages of the staged topology, in the order in which an event passes them."""
    by_entity = {part.entity: stages.by_entity(part.entity) for part in plan.parts}
    with_labels = [by_entity[part.entity] for part in plan.parts if part.plan.reads_labels]
    routed = [*by_entity.values(), stages.enriched, topics.dead_letters]
    found = [Stage("route", [topics.events], routed, [], [])]
    if with_labels:
        found.append(Stage("route", [topics.labels], [*with_labels, topics.dead_letters], [], []))
    found += [
        Stage(
            "entity",
            [by_entity[part.entity]],
            [stages.enriched],
            [part.entity],
            list(part.plan.names),
        )
        for part in plan.parts
    ]
    local = plan.local
    found.append(
        Stage(
            "join and score",
            [stages.enriched],
            [topics.scores, topics.feature_log, topics.dead_letters],
            [entity.entity for entity in local.entities] if local is not None else [],
            list(local.names) if local is not None else [],
        )
    )
    return found


def workers_of(admin: AdminClient, group: str) -> list[Worker]:
    """Who is in the group now, and what each has; nobody if there is no such group.

    Raises:
        AuthorizationError: we may not look.
        KafkaException: the cluster failed.
    """
    described: Any = admin.describe_consumer_groups([group], request_timeout=_TIMEOUT_S)
    try:
        members: Sequence[Any] = described[group].result().members
    except KafkaException as error:
        if is_denial(error.args[0]):
            raise AuthorizationError([f"Describe on group {group!r}"]) from error
        raise
    workers = []
    for member in members:
        partitions: dict[str, list[int]] = {}
        for each in member.assignment.topic_partitions if member.assignment else []:
            partitions.setdefault(each.topic, []).append(each.partition)
        sorted_partitions = {topic: sorted(found) for topic, found in sorted(partitions.items())}
        workers.append(
            Worker(split_client_id(member.client_id)[0], member.host.lstrip("/"), sorted_partitions)
        )
    return sorted(workers, key=lambda worker: worker.name)
