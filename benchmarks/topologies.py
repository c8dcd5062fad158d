"""Staged workers against one fused scorer: equal features, and how many events a second.

Replays the Fraud Detection Handbook's transactions and labels into a real Kafka, then lets one
fused scorer and, after it, several staged workers answer all of them, and compares the two feature
logs: each cell of each event, to the last bit. The broker, all workers and this process share the
machine's cores, so the ratio says what staging costs where it can't help.
"""

import os
import sys
import tempfile
import threading
import tomllib
from contextlib import ExitStack
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import tomli_w
from confluent_kafka import Consumer

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.harness import DATA, arguments, report
from streams.feature_log import feature_matrix, feature_names, read_feature_log
from streams.files.event_file import EventFile, open_events
from streams.kafka.client import connect
from streams.kafka.records.consuming import consume_ready
from streams.replay.pace import Pace
from streams.replay.replay import Replayer
from weir.broker import BrokerSettings, LocalBroker
from weir.config.settings import Settings, load_settings
from weir.demo.scorer_process import DemoScorer
from weir.services.wiring import ensure_all_topics
from weir.training.registering import train_and_register

EXAMPLE = Path(__file__).parents[1] / "examples" / "handbook" / "weir.toml"
TRAINED_ON = 100_000
QUICK = {"trees": {"rounds": 10}, "autoencoder": {"epochs": 1}}


class Answers:
    """What stands in a feature log, a row per event in the order of ids."""

    def __init__(self, ids: Any) -> None:
        self._ids = ids
        self.features = np.empty((0, 0), np.float32)
        self.flags = np.zeros((2, len(ids)), np.bool_)
        self.answers = np.zeros(len(ids), np.int64)
        self.names: list[str] = []
        self.seconds = 0.0

    def add(self, table: Any) -> None:
        """Take in one record of the log."""
        if not self.names:
            self.names = feature_names(table)
            self.features = np.zeros((len(self._ids), len(self.names)), np.float32)
        at = np.searchsorted(self._ids, table["event_id"].to_numpy())
        self.answers[at] += 1
        self.features[at] = feature_matrix(table)
        for flag, name in enumerate(("late", "approximate")):
            self.flags[flag, at] = table[name].to_numpy()


def settings_of(folder: Path, topology: str, servers: str) -> Path:
    """Write settings: both topologies read the same events, and answer in topics of their own."""
    values = tomllib.loads(EXAMPLE.read_text(encoding="utf-8"))
    values |= {
        "data_dir": str(folder / "data"),
        "training": QUICK,
        "kafka": {"bootstrap_servers": servers},
        "loop": {"topology": topology, "group": topology},
        "topics": {
            role: f"{role}-{topology}"
            for role in ("scores", "feature_log", "dead_letters", "snapshots")
        },
    }
    path = folder / f"{topology}.toml"
    path.write_text(tomli_w.dumps(values), encoding="utf-8")
    return path


def run(config: Path, workers: int, ids: Any, log: Path) -> Answers:
    """Let so many workers answer all events; the time is that from the first answer to the last."""
    settings = load_settings(config)
    answers = Answers(ids)
    consumer: Any = Consumer(settings.kafka.consumer_config(group_id="benchmark"))
    topic = settings.topics.feature_log
    seen, started, shown = 0, 0.0, monotonic()
    with ExitStack() as stack:
        stack.callback(consumer.close)
        consumer.subscribe([topic])
        processes = [
            stack.enter_context(
                DemoScorer(config, os.environ, log.with_suffix(f".{config.stem}.{worker}"))
            )
            for worker in range(workers)
        ]
        while seen < len(ids):
            for message in consume_ready(consumer, 1_000, 1.0):
                if message.error() is None:
                    started = started or monotonic()
                    table = read_feature_log(message.value())
                    answers.add(table)
                    seen += len(table)
            for process in processes:
                process.check()
            if monotonic() - shown > 10:
                shown = monotonic()
                print(f"{config.stem}: {seen:,} of {len(ids):,} answered", file=sys.stderr)
        answers.seconds = monotonic() - started
    return answers


def prepare(folder: Path, settings: Settings, file: EventFile) -> None:
    """A champion, and all events and labels in their topics."""
    stop = int(file.times[min(TRAINED_ON, len(file) - 1)])
    train_and_register(settings, file, None, stop)
    ensure_all_topics(connect(settings.kafka), settings)
    Replayer(file, settings.kafka, settings.topics, settings.labels, Pace()).run(threading.Event())


def main() -> None:
    """Run and report."""
    args = arguments(
        __doc__ or "",
        events={"type": int, "default": None, "help": "only the first so many"},
        workers={"type": int, "default": 3},
        data={"type": Path, "default": DATA / "handbook" / "transactions.parquet"},
    )
    table = pq.read_table(args.data)
    count = 100_000 if args.quick else args.events
    table = table.slice(0, count) if count is not None else table
    ids = np.sort(table["TRANSACTION_ID"].to_numpy())
    with tempfile.TemporaryDirectory(prefix="weir-topologies-") as name:
        folder = Path(name)
        pq.write_table(table, folder / "events.parquet")
        with LocalBroker(BrokerSettings(data_dir=folder / "broker", port=0)) as broker:
            fused = settings_of(folder, "fused", broker.bootstrap_servers)
            staged = settings_of(folder, "staged", broker.bootstrap_servers)
            settings = load_settings(fused)
            file = open_events(folder / "events.parquet", settings.event, settings.labels.field)
            prepare(folder, settings, file)
            one = run(fused, 1, ids, folder / "log")
            many = run(staged, args.workers, ids, folder / "log")
    # As bytes, so that NaN equals NaN and nothing else is forgiven.
    different = one.features.view(np.uint32) != many.features.view(np.uint32)
    flags = one.flags != many.flags
    twice = int((one.answers != 1).sum()), int((many.answers != 1).sum())
    wrong = int(different.sum())
    ratio = one.seconds / many.seconds
    columns = [n for n, bad in zip(one.names, different.any(axis=0), strict=True) if bad]
    report(
        args,
        name="topologies",
        figure=wrong,
        unit=f"cells of {different.size:,} differ",
        target=0,
        met=wrong == 0 and not flags.any() and twice == (0, 0),
        details={
            "events": len(ids),
            "workers": args.workers,
            "cells": different.size,
            "different_cells": wrong,
            "different_columns": columns,
            "different_flags": int(flags.sum()),
            "not_answered_once": {"fused": twice[0], "staged": twice[1]},
            "events_per_second": {
                "fused": round(len(ids) / one.seconds),
                "staged": round(len(ids) / many.seconds),
            },
            "staged_to_fused": round(ratio, 3),
        },
        text=(
            f"{len(ids):,} events, {different.size:,} cells, {wrong} different"
            f"{' in ' + ', '.join(columns) if columns else ''}; {int(flags.sum())} flags differ\n"
            f"not answered once: fused {twice[0]}, staged {twice[1]}\n"
            f"fused  {len(ids) / one.seconds:>8,.0f} events/s with 1 worker\n"
            f"staged {len(ids) / many.seconds:>8,.0f} events/s with {args.workers} workers, "
            f"{ratio:.2f} of that"
        ),
    )


if __name__ == "__main__":
    main()
