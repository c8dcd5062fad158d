"""Staged scorers as processes: any number share the work, and all features are those of one."""

import json
import os
import signal
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tomli_w
from confluent_kafka import Producer
from conftest import Trained
from front_door import weir
from running_scorer import Scorer, replay

from streams.dead_letters import read_dead_letter
from streams.feature_log import read_feature_log
from streams.reading import read_to_end
from weir.scores import read_scores
from weir.settings import load_settings

Config = Callable[..., Path]
COUNT = 3_000


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
    patience = {"alignment": {"max_hold": "3m"}}
    loop = {"session_timeout": "6s", "transaction_timeout": "8s", "max_batch": 200}
    staged = config(
        loop=loop | {"group": f"staged-{os.urandom(4).hex()}", "topology": "staged"},
        stages={"prefix": f"staged-{os.urandom(4).hex()}"}, **patience,
    )  # fmt: skip
    settings = load_settings(staged)
    assert weir("topics", "-c", staged).returncode == 0
    producer = Producer(settings.kafka.producer_config())
    for partition in range(4):
        producer.produce(settings.topics.events, b"noise", b"k", partition, headers={"a": "b"})
    assert producer.flush(30) == 0
    replay(staged, trained.events, COUNT)

    workers = [start(staged) for _ in range(3)]
    workers[0].wait_for(lambda: sum(answered(each) for each in workers) > COUNT / 10, 120)
    check_topology(staged, workers=3)
    workers[1].process.send_signal(signal.SIGKILL)
    workers[1].process.wait()
    workers[0].wait_for(lambda: len(read_scores(settings.kafka, settings.topics.scores).ids)
                        == COUNT, 180)  # fmt: skip
    for worker in (workers[0], workers[2]):
        assert worker.end() == 0, worker.log
        assert "Traceback" not in worker.log

    letters = [read_dead_letter(message)
               for batch in read_to_end(settings.kafka, settings.topics.dead_letters)
               for message in batch]  # fmt: skip
    assert sorted((letter.partition, letter.reason) for letter in letters) == [
        (partition, "not_json") for partition in range(4)
    ]
    refused = weir("score", "-c", staged, "--topology", "fused")
    assert refused.returncode == 2
    assert "not that of a fused scorer: give this scorer another loop.group" in refused.stderr
    fused = as_fused(staged)
    scorer = start(fused)
    scorer.wait_for(lambda: scorer.metrics()["weir_events_total"] == COUNT, 120)
    assert scorer.end() == 0
    ours, theirs = feature_rows(staged), feature_rows(fused)
    assert len(ours) == COUNT
    assert ours.keys() == theirs.keys()
    for place, row in ours.items():
        assert row.keys() == theirs[place].keys()
        for name in ("event_id", "key", "event_time", "score", "decision", "late", "approximate"):
            assert row[name] == theirs[place][name], (place, name)
        np.testing.assert_array_equal(row["features"], theirs[place]["features"], str(place))
    scores = read_scores(settings.kafka, settings.topics.scores)
    assert (len(scores.ids), scores.duplicates) == (COUNT, 0)


def check_topology(config: Path, workers: int) -> None:
    """The command says that these share all partitions of all stages, each of one of them."""
    settings = load_settings(config)
    said = json.loads(weir("topology", "-c", config, "--json").stdout)
    assert said["topology"] == "staged"
    assert [stage["name"] for stage in said["stages"]] == [
        "route", "route", "entity", "join and score"
    ]  # fmt: skip
    assert sum(len(stage["features"]) for stage in said["stages"]) == len(settings.features)
    assert len(said["workers"]) == workers
    owned = [(topic, partition) for worker in said["workers"]
             for topic, partitions in worker["partitions"].items()
             for partition in partitions]  # fmt: skip
    read = {
        topic: count for stage in said["stages"] for topic, count in stage["partitions"].items()
    }
    assert sorted(owned) == sorted((t, p) for t, count in read.items() for p in range(count))


def answered(worker: Scorer) -> float:
    """How many events a worker has answered."""
    return worker.metrics().get("weir_events_total", 0.0)


def as_fused(staged: Path) -> Path:
    """Settings for a fused scorer of the same events, with answers in other topics."""
    values = tomllib.loads(staged.read_text(encoding="utf-8"))
    for role in ("scores", "feature_log", "dead_letters", "snapshots"):
        values["topics"][role] += "-fused"
    values["loop"] |= {"topology": "fused", "group": f"fused-{os.urandom(4).hex()}"}
    path = staged.with_name("fused.toml")
    path.write_text(tomli_w.dumps(values), encoding="utf-8")
    return path
