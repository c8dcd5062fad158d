"""The promise of the scorer: stopped or killed at any moment, each event is answered exactly once.

``WEIR_RESTART_EVENTS=200000 WEIR_RESTARTS=10`` runs it at full size.
"""

import os
import signal
import subprocess
import sys
import uuid
from collections import defaultdict
from pathlib import Path
from time import monotonic, sleep

import msgspec
import numpy as np
import pyarrow.parquet as pq
import pytest
from front_door import write_settings

from streams.feature_log import feature_matrix, feature_names, read_feature_log
from streams.files.event_file import open_events
from streams.kafka.client import KafkaSettings
from streams.kafka.records.consuming import read_to_end
from streams.kafka.topics.weir_topics import ROLES
from weir.config.settings import Settings, load_settings
from weir.demo.watcher import Watcher
from weir.simulator import SimulatorSettings, simulate
from weir.training.registering import train_and_register

EVENTS = int(os.environ.get("WEIR_RESTART_EVENTS", "20000"))
RESTARTS = int(os.environ.get("WEIR_RESTARTS", "3"))
PATIENCE_S = 120.0
SHARE, OF_PARTITION = 0.4, 150.0


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("events") / "events.parquet"
    pq.write_table(simulate(SimulatorSettings.for_events(EVENTS, days=60, seed=3)), path)
    return path


@pytest.fixture(scope="module")
def models(events: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a champion that was trained on the events."""
    folder = tmp_path_factory.mktemp("models")
    training = {"holdout_fraction": 0.5, "trees": {"rounds": 20, "max_bin": 255}}
    settings = load_settings(write_settings(folder / "weir.toml", training=training))
    file = open_events(events, settings.event, settings.labels.field)
    train_and_register(settings, file, None, None)
    return settings.data_dir


@pytest.fixture
def config(kafka: str, models: Path, tmp_path: Path) -> Path:
    run = uuid.uuid4().hex[:8]
    return write_settings(
        tmp_path / "weir.toml",
        data_dir=str(models),
        kafka={"bootstrap_servers": kafka},
        topics={"partitions": 4} | {role: f"{role}-{run}" for role in ROLES},
        # Small batches, so that a stop falls between many of them.
        loop={"group": f"scorer-{run}", "max_batch": 500, "session_timeout": "6s"},
        metrics={"port": 0},
        policy={"review_alert_rate": 0.1, "decline_alert_rate": 0.05},
        feature_log={"include": ["amount"]},
        approve_through={
            "bands": [{"share": SHARE}],
            "daily_budget": 4 * OF_PARTITION,
            "salt": "sixteen letters and more",
        },
    )


def weir(*arguments: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "weir", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def wait_for(watcher: Watcher, count: int, scorer: subprocess.Popen[bytes]) -> None:
    deadline = monotonic() + PATIENCE_S
    while watcher.seen.total < count:
        watcher.check()
        assert scorer.poll() is None, "the scorer ended by itself"
        assert monotonic() < deadline, f"{watcher.seen.total} of {count} answered"
        sleep(0.01)


@pytest.mark.parametrize(
    "how",
    [pytest.param(signal.SIGTERM, marks=pytest.mark.exhaustive), signal.SIGKILL],
    ids=["sigterm", "sigkill"],
)
def test_every_event_is_answered_exactly_once_with_exact_features(
    config: Path, events: Path, how: signal.Signals
) -> None:
    settings = load_settings(config)
    file = open_events(events, settings.event, settings.labels.field)
    restarts = RESTARTS if how == signal.SIGTERM else min(RESTARTS, 2)
    assert weir("topics", "-c", config).wait() == 0
    watcher = Watcher(settings.kafka, settings.topics.scores, settings.topics.dead_letters)
    replay = weir("replay", events, "-c", config, "--speed", "max", "--no-progress")
    try:
        for stop in range(1, restarts + 1):
            scorer = weir("score", "-c", config)
            wait_for(watcher, round(len(file) * stop / (restarts + 1)), scorer)
            scorer.send_signal(how)
            code = scorer.wait(PATIENCE_S)
            assert code == (0 if how == signal.SIGTERM else -signal.SIGKILL)
        scorer = weir("score", "-c", config)
        wait_for(watcher, len(file), scorer)
        assert replay.wait(PATIENCE_S) == 0
        scorer.terminate()
        assert scorer.wait(PATIENCE_S) == 0
    finally:
        watcher.close()
        for process in (replay, scorer):
            process.kill()
            process.wait()

    assert not watcher.seen.dead_letters
    assert not watcher.seen.duplicated
    check_answers(settings, {int(event) for event in file.events.ids})
    check_features(settings, config, events)
    check_approve_through(settings)


def check_answers(settings: Settings, wanted: set[int]) -> None:
    """Each event once; in order per key, which is the order of event time here."""
    decode = msgspec.json.Decoder().decode
    answered: list[int] = []
    by_key: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for batch in read_to_end(settings.kafka, settings.topics.scores):
        for message in batch:
            score = decode(message.value())
            answered.append(score["event_id"])
            by_key[score["key"]].append((score["event_time"], score["event_id"]))
    assert sorted(wanted - set(answered)) == []
    assert len(answered) == len(wanted)
    assert all(rows == sorted(rows) for rows in by_key.values())


def check_features(settings: Settings, config: Path, events: Path) -> None:
    """What the log holds is, to the bit, what `weir features` computes from the file."""
    out = config.with_name("features.parquet")
    assert weir("features", events, "--out", out, "--float32", "-c", config).wait() == 0
    table = pq.read_table(out)
    row_of = {event: row for row, event in enumerate(table["transaction_id"].to_pylist())}
    seen = 0
    for event_ids, names, matrix in read_log(settings.kafka, settings.topics.feature_log):
        expected = np.column_stack([table[name].to_numpy() for name in names])
        rows = [row_of[event] for event in event_ids]
        np.testing.assert_array_equal(matrix, expected[rows])
        seen += len(rows)
    assert seen == len(table)


def check_approve_through(settings: Settings) -> None:
    """Each partition spends its part of each day's budget in the order of its offsets, and no more.

    So what the log says of one event follows from what it says of those before it.
    """
    rows = sorted(
        (
            (message.partition() or 0, row["offset"], row)
            for batch in read_to_end(settings.kafka, settings.topics.feature_log)
            for message in batch
            for row in read_feature_log(message.value() or b"").to_pylist()
        ),
        key=lambda each: each[:2],
    )
    days: dict[int, int] = {}
    spent: dict[int, float] = {}
    drawn: list[bool] = []
    for partition, _, row in rows:
        if row["approve_through"] is None:
            assert row["decision"] != "decline"
            continue
        day, amount = row["event_time"].toordinal(), row["context"]["amount"]
        if day > days.get(partition, 0):
            # Of the first day nobody knows what went before.
            spent[partition] = 0.0 if partition in days else float("inf")
            days[partition] = day
        may = day == days[partition] and spent[partition] + amount <= OF_PARTITION
        assert row["approve_through"] == (SHARE if may else 0)
        if row["decision"] == "approve":
            assert may
            spent[partition] += amount
        if may:
            drawn.append(row["decision"] == "approve")
    assert 100 < len(drawn) < sum(row["approve_through"] is not None for _, _, row in rows)
    assert abs(np.mean(drawn) - SHARE) < 4 * (SHARE * (1 - SHARE) / len(drawn)) ** 0.5


def read_log(kafka: KafkaSettings, topic: str):
    for batch in read_to_end(kafka, topic):
        tables = [read_feature_log(message.value()) for message in batch]
        yield (
            [event for table in tables for event in table["event_id"].to_pylist()],
            feature_names(tables[0]),
            np.concatenate([feature_matrix(table) for table in tables]),
        )
