"""Topics are made once, as the settings say, on the real broker."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType

from streams.kafka.topics.topic_partitions import TopicError
from streams.kafka.topics.weir_topics import (
    ROLES,
    SCORER_ROLES,
    Role,
    TopicSettings,
    ensure_beside,
    ensure_topics,
    partition_counts,
)

SINGLE = {"control": 1, "reports": 1, "positions": 1, "comparisons": 1}
SINGLE |= {"drift_counts": 1, "drift_state": 1, "drift": 1, "retraining": 1, "retraining_state": 1}


@pytest.fixture
def admin(kafka: str) -> AdminClient:
    return AdminClient({"bootstrap.servers": kafka})


def named(**settings: Any) -> TopicSettings:
    run = uuid.uuid4().hex[:8]
    return TopicSettings(**({role: f"{role}-{run}" for role in ROLES} | settings))


def config(admin: AdminClient, topic: str) -> dict[str, str]:
    resource = ConfigResource(ResourceType.TOPIC, topic)
    entries = admin.describe_configs([resource])[resource].result(30)
    return {name: entry.value for name, entry in entries.items()}


def make(admin: AdminClient, topic: str, partitions: int) -> None:
    admin.create_topics([NewTopic(topic, partitions, 1)], operation_timeout=15)[topic].result(15)


def test_missing_topics_are_made_with_their_settings(admin: AdminClient) -> None:
    topics = named(
        partitions=3,
        config={"scores": {"retention.ms": "604800000"}, "labels": {"retention.ms": "1000"}},
    )
    assert sorted(ensure_topics(admin, topics)) == sorted(topics.name(role) for role in ROLES)
    assert partition_counts(admin, topics) == dict.fromkeys(ROLES, 3) | SINGLE
    for role in ROLES:
        input_or_command = {"control": "131072", "reports": "131072"} | dict.fromkeys(
            ("events", "labels"), "2097152"
        )
        largest = input_or_command.get(role, "16777216")
        assert config(admin, topics.name(role))["max.message.bytes"] == largest
    retention = {role: config(admin, topics.name(role))["retention.ms"] for role in ROLES}
    assert (retention["events"], retention["labels"], retention["scores"]) == (
        str(90 * 86_400_000),
        "1000",
        "604800000",
    )
    assert config(admin, topics.events)["message.timestamp.type"] == "LogAppendTime"
    assert config(admin, topics.control)["cleanup.policy"] == "compact"
    assert ensure_topics(admin, topics) == []


def test_topics_get_as_many_partitions_as_the_events_have(admin: AdminClient) -> None:
    topics = named(partitions=2)
    make(admin, topics.events, 5)
    assert topics.events not in ensure_topics(admin, topics)
    assert partition_counts(admin, topics) == dict.fromkeys(ROLES, 5) | SINGLE


def test_topics_of_answers_get_as_many_partitions_as_the_events(admin: AdminClient) -> None:
    topics = named(partitions=4)
    make(admin, topics.scores, 2)
    make(admin, topics.explanations, 3)
    ensure_topics(admin, topics, SCORER_ROLES)
    counts = partition_counts(admin, topics)
    assert (counts["scores"], counts["explanations"]) == (4, 3)  # no scorer writes the latter
    ensure_topics(admin, topics)
    assert partition_counts(admin, topics)["explanations"] == 4


def test_what_reads_the_feature_log_gets_as_many_partitions_with_the_settings_of_its_role(
    admin: AdminClient,
) -> None:
    topics = named(partitions=2, config={"explanations": {"retention.ms": "1000"}})
    with pytest.raises(TopicError, match=f"no topic {topics.feature_log!r}"):
        ensure_beside(admin, topics, "feature_log", ("explanations",))
    make(admin, topics.feature_log, 5)
    roles: tuple[Role, ...] = ("explanations", "dead_letters")
    made = ensure_beside(admin, topics, "feature_log", roles)
    assert sorted(made) == sorted(topics.name(role) for role in roles)
    assert partition_counts(admin, topics) == dict.fromkeys(("feature_log", *roles), 5)
    assert config(admin, topics.explanations)["retention.ms"] == "1000"
    assert ensure_beside(admin, topics, "feature_log", roles) == []


def test_explanations_get_as_many_partitions_as_the_feature_log(admin: AdminClient) -> None:
    topics = named()
    make(admin, topics.feature_log, 3)
    make(admin, topics.dead_letters, 1)  # written by key, or wherever there is place
    make(admin, topics.explanations, 2)
    ensure_beside(admin, topics, "feature_log", ("explanations", "dead_letters", "positions"))
    counts = partition_counts(admin, topics)
    assert (counts["explanations"], counts["dead_letters"], counts["positions"]) == (3, 1, 1)


def test_more_partitions_than_needed_are_welcome(admin: AdminClient) -> None:
    topics = named(partitions=2)
    make(admin, topics.scores, 6)
    ensure_topics(admin, topics)
    assert partition_counts(admin, topics)["scores"] == 6


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"events": ".."}, r"can't make topic '\.\.'"),
        ({"replication_factor": 3}, "[Rr]eplication"),
        ({"config": {"events": {"retention.msec": "5"}}}, "retention.msec"),
    ],
)
def test_what_the_cluster_refuses_is_named(
    admin: AdminClient, settings: dict[str, Any], says: str
) -> None:
    with pytest.raises(TopicError, match=says):
        ensure_topics(admin, named(**settings))


def test_two_processes_may_make_them_at_once(admin: AdminClient, kafka: str) -> None:
    topics = named()
    with ThreadPoolExecutor(4) as pool:
        admins = [AdminClient({"bootstrap.servers": kafka}) for _ in range(4)]
        list(pool.map(lambda each: ensure_topics(each, topics), admins))
    assert partition_counts(admin, topics) == dict.fromkeys(ROLES, 4) | SINGLE
