"""Staged scorers as processes: any number share the work, and all features are those of one."""

import json
import os
import signal
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from time import sleep
from typing import Any

import numpy as np
from confluent_kafka import ConsumerGroupTopicPartitions, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from front_door import Trained, weir
from running_scorer import Scorer, answered, begun_anew, replay

from inference.evaluation.topic_reading import read_scores
from streams.dead_letters.letter import read_dead_letter
from streams.feature_log import read_feature_log
from streams.files.event_file import open_events
from streams.kafka.partition import PartitionId
from streams.kafka.records.consuming import read_to_end
from streams.snapshots import Pointer, read_snapshot
from streams.stages.common.step import position_of
from streams.stages.worker.snapshot_keeper import owner_of
from weir.config.settings import Settings, load_settings

Config = Callable[..., Path]
COUNT = 3_000
COMPARED = (
    *("event_id", "key", "event_time", "score", "decision", "late", "approximate"),
    *("model", "arm", "share", "propensity", "context", "approve_through"),
)


def feature_rows(config: Path) -> dict[tuple[int, int], dict[str, object]]:
    """All rows of the feature log, by partition and offset of their events."""
    settings = load_settings(config)
    rows: dict[tuple[int, int], dict[str, object]] = {}
    for batch in read_to_end(settings.kafka, settings.topics.feature_log):
        for message in batch:
            for row in read_feature_log(message.value() or b"").to_pylist():
                place = (message.partition() or 0, row["offset"])
                assert place not in rows, f"the event at {place} was answered twice"
                rows[place] = row
    return rows


def test_three_workers_one_of_them_killed_answer_as_one_scorer_does(
    config: Config, trained: Trained, start: Callable[..., Scorer]
) -> None:
    """The others go on from snapshots: all that these hold is gone from the stages' topics."""
    loop = {"session_timeout": "6s", "transaction_timeout": "8s", "max_batch": 200}
    group, prefix = f"staged-{os.urandom(4).hex()}", f"staged-{os.urandom(4).hex()}"
    sections: dict[str, Any] = {
        "loop": loop | {"group": group, "topology": "staged"},
        "stages": {"prefix": prefix},
        "snapshots": {"every": "1s"},
        "feature_log": {"include": ["merchant_category", "amount"]},
        "policy": {"review_alert_rate": 0.2, "decline_alert_rate": 0.1},
        "approve_through": {
            "bands": [{"share": 0.4}],
            "daily_budget": 600,
            "salt": "sixteen letters and more",
        },
    }
    staged = config(alignment={"max_idle": "3m", "max_hold": "3m"}, **sections)
    settings = load_settings(staged)
    assert weir("topics", "-c", staged).returncode == 0
    producer = Producer(settings.kafka.producer_config())
    for partition in range(4):
        producer.produce(settings.topics.events, b"noise", b"k", partition, headers={"a": "b"})
    assert producer.flush(30) == 0
    file = open_events(trained.events, settings.event, settings.labels.field)
    half, later = (int(file.times[at]) for at in (COUNT // 2, COUNT * 3 // 4))
    replay(staged, trained.events, stop_ms=half)

    workers = [start(staged) for _ in range(3)]
    workers[0].wait_for(lambda: sum(answered(each) for each in workers) > 0.4 * COUNT, 120)
    # A rebalance may still go on.
    workers[0].wait_for(lambda: all_is_shared(topology(staged), workers=3))
    check_stages(topology(staged), settings)
    kept = [(topic, p) for topic in settings.stage_topics() for p in range(4)]
    workers[0].wait_for(lambda: {each[:-1] for each in manifests(settings)} >= owners(group, kept))
    # The group learns of a snapshot with the next answers: so some come after the last one.
    for start_ms, stop_ms in pairwise(np.linspace(half, later, 5, dtype=np.int64).tolist()):
        more = sum(answered(each) for each in workers) + 1
        replay(staged, trained.events, start_ms=start_ms, stop_ms=stop_ms)
        workers[0].wait_for(partial(have_answered, workers, more), 120)
        sleep(1.1)
    workers[0].wait_for(lambda: len(pointers(settings, kept)) == len(kept), 120)
    forget_what_snapshots_hold(settings, pointers(settings, kept))
    workers[1].process.send_signal(signal.SIGKILL)
    workers[1].process.wait()
    rest = COUNT - int(np.searchsorted(file.times, later))
    replay(staged, trained.events, rest, start_ms=later)
    workers[0].wait_for(
        lambda: len(read_scores(settings.kafka, settings.topics.scores).ids) > 0.9 * COUNT, 180
    )
    for worker in (workers[0], workers[2]):
        assert worker.end() == 0, worker.log
        assert "Traceback" not in worker.log
        assert "ignoring the last snapshot" not in worker.log
    last = start(config(alignment={"max_hold": "3m"}, **sections))
    last.wait_for(
        lambda: len(read_scores(settings.kafka, settings.topics.scores).ids) == COUNT, 120
    )
    assert last.end() == 0, last.log
    assert last.log.count("restored") == last.log.count("from a snapshot") == len(kept), last.log

    letters = [
        read_dead_letter(message)
        for batch in read_to_end(settings.kafka, settings.topics.dead_letters)
        for message in batch
    ]
    assert sorted((letter.partition, letter.reason) for letter in letters) == [
        (partition, "not_json") for partition in range(4)
    ]
    refused = weir("score", "-c", staged, "--topology", "fused")
    assert refused.returncode == 2
    assert "not that of a fused scorer: give this scorer another loop.group" in refused.stderr
    fused = begun_anew(staged, "fused")
    scorer = start(fused)
    scorer.wait_for(lambda: scorer.metrics()["weir_events_total"] == COUNT, 120)
    assert scorer.end() == 0
    ours, theirs = feature_rows(staged), feature_rows(fused)
    assert len(ours) == COUNT
    assert ours.keys() == theirs.keys()
    for place, row in ours.items():
        assert row.keys() == theirs[place].keys()
        for name in COMPARED:
            assert row[name] == theirs[place][name], (place, name)
        assert row["context"]["merchant_category"]
        np.testing.assert_array_equal(row["features"], theirs[place]["features"], str(place))
    let = [row for row in ours.values() if row["approve_through"] and row["decision"] == "approve"]
    assert len(let) > 10
    scores = read_scores(settings.kafka, settings.topics.scores)
    assert (len(scores.ids), scores.duplicates) == (COUNT, 0)


def have_answered(workers: list[Scorer], count: int) -> bool:
    return sum(answered(each) for each in workers) >= count


def owners(group: str, places: list[PartitionId]) -> set[tuple[str, ...]]:
    """Whose snapshots these are."""
    return {(group, topic, str(partition)) for topic, partition in places}


def manifests(settings: Settings) -> set[tuple[str, ...]]:
    """Owner and slot of each manifest on the snapshot topic."""
    keys = [
        (message.key() or b"").decode().split("/")
        for batch in read_to_end(settings.kafka, settings.topics.snapshots)
        for message in batch
    ]
    return {tuple(key[:-1]) for key in keys if key[-1] == "manifest"}


def pointers(settings: Settings, places: list[PartitionId]) -> dict[PartitionId, Pointer]:
    """The snapshots that the group's committed offsets know of."""
    admin = AdminClient(settings.kafka.client_config())
    group = settings.loop.group
    wanted = ConsumerGroupTopicPartitions(group, [TopicPartition(*place) for place in places])
    committed = admin.list_consumer_group_offsets([wanted])[group].result().topic_partitions
    known = {(each.topic, each.partition): position_of(each)[1] for each in committed}
    return {place: pointer for place, pointer in known.items() if pointer is not None}


def forget_what_snapshots_hold(settings: Settings, known: dict[PartitionId, Pointer]) -> None:
    """Delete the records of the stages' topics that lie before the snapshots."""
    admin = AdminClient(settings.kafka.client_config())
    until = []
    for place, pointer in known.items():
        owner = owner_of(settings.loop.group, place)
        consumer = settings.kafka.consumer_config()
        snapshot = read_snapshot(consumer, settings.topics.snapshots, pointer, owner)
        until.append(TopicPartition(*place, snapshot.positions[place].offset))
    assert sum(each.offset for each in until) > len(until), "the snapshots hold next to nothing"
    for future in admin.delete_records(until).values():
        future.result(30)


def topology(config: Path) -> dict[str, Any]:
    """What the command says."""
    said: dict[str, Any] = json.loads(weir("topology", "-c", config, "--json").stdout)
    return said


def check_stages(said: dict[str, Any], settings: Settings) -> None:
    """The command knows the stages, and what they compute."""
    assert said["topology"] == "staged"
    assert [stage["name"] for stage in said["stages"]] == [
        "route",
        "route",
        "entity",
        "join and score",
    ]
    assert sum(len(stage["features"]) for stage in said["stages"]) == len(settings.features)


def all_is_shared(said: dict[str, Any], workers: int) -> bool:
    """Whether so many share all partitions of all stages, each of one of them."""
    owned = [
        (topic, partition)
        for worker in said["workers"]
        for topic, partitions in worker["partitions"].items()
        for partition in partitions
    ]
    read = {
        topic: count for stage in said["stages"] for topic, count in stage["partitions"].items()
    }
    everything = sorted((t, p) for t, count in read.items() for p in range(count))
    return len(said["workers"]) == workers and sorted(owned) == everything
