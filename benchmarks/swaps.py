"""End-to-end latency with and without model swaps, in one run: the price of a promotion.

A scorer of its own process answers a replay. First at rates that rise until it can't keep up while
events are sent and scores are read beside it: the last at which it could is the largest rate.
Then at 70 % of it without swaps, with one champion after another, and without again. Latency is
from the event's Kafka timestamp to when a consumer of committed records, in a process of its own,
has the score. Afterwards every event is looked for, every score is computed again by plain ONNX
Runtime from the model that it names, and the models along each partition's offsets have to be the
champions in their order.
"""

import json
import os
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep, time
from typing import Any

import numpy as np
import onnxruntime
import pyarrow.parquet as pq
import tomli_w
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.harness import arguments, report
from benchmarks.score_watcher import Scores
from inference.control.commands import (
    CHAMPION_KEY,
    ChampionCommand,
    ModelVersion,
    encode,
    version_of,
)
from inference.control.control_room import ControlRoom
from inference.control.signatures import CommandKeys
from inference.packages.package import ModelPackage
from inference.training.train import train
from streams.base.clock import now_ms
from streams.feature_log import feature_matrix, feature_names, read_feature_log
from streams.files.event_file import EventFile, open_events
from streams.kafka.client import connect
from streams.kafka.records.consuming import read_to_end
from streams.kafka.records.publisher import Publisher
from streams.replay.pace import Pace
from streams.replay.replay import Replayer
from weir.broker import BrokerSettings, LocalBroker
from weir.config.settings import EXAMPLE_FILE, Settings, load_settings
from weir.demo.scorer_process import DemoScorer
from weir.services.wiring import ensure_all_topics, open_registry
from weir.simulator import SimulatorSettings, simulate
from weir.training.registering import training_set

TARGET = 1.5
SHARE = 0.7
KEPT_S = 0.25
TOLERANCE = 1e-5
_MODELS = 4
_TRAINED_ON = 60_000
_WARM_UP = 20_000
_SETTLE_S = 2.0
_TAIL_S = 1.0
_PATIENCE_S = 120.0
_FIRST_RATE = 3_000.0
_RISE = 1.2
_SEND_OVERHEAD_S = 2.0


@dataclass
class Phase:
    """A part of the replay.

    Attributes:
        start, end: when it ran, UTC seconds; its first and last moments are left out of latency.
        swaps_ms: from each champion record to the scorer's word that it serves.
    """

    name: str
    events: int
    start: float = 0.0
    end: float = 0.0
    swaps_ms: tuple[float, ...] = ()


class Swapper:
    """Makes one model after another champion, evenly spread, each when the one before serves."""

    def __init__(self, settings: Settings, models: Sequence[ModelVersion]) -> None:
        self._settings, self._models = settings, models
        self.named = [models[0]]
        self.took_ms: list[float] = []

    def run(self, swaps: int, seconds: float) -> None:
        """Swap until all are done or the time is over."""
        room = ControlRoom(
            self._settings.kafka,
            CommandKeys(self._settings.topics.control),
            self._settings.topics.reports,
        )
        begun = monotonic()
        with Publisher(self._settings.kafka) as publisher:
            for number in range(swaps):
                sleep(max(0.0, begun + number * seconds / swaps - monotonic()))
                if monotonic() - begun > seconds:
                    break
                model = self._models[len(self.named) % len(self._models)]
                command = ChampionCommand(model=model, by="benchmark", at=now_ms())
                said = monotonic()
                publisher.send(self._settings.topics.control, encode(command), CHAMPION_KEY)
                publisher.flush()
                for answer in room.answers(_PATIENCE_S).values():
                    if answer is None or answer.model != model.package:
                        raise RuntimeError(f"the scorer does not change to {model}: {answer}")
                self.took_ms.append(1e3 * (monotonic() - said))
                self.named.append(model)
        room.close()


def prepare(
    folder: Path, events: int, servers: str, count: int = _MODELS
) -> tuple[Path, EventFile, list[ModelVersion]]:
    """Settings, events, and `count` registered models, the first of them champion."""
    import tomllib

    values = tomllib.loads(EXAMPLE_FILE.read_text(encoding="utf-8"))
    values |= {
        "data_dir": str(folder / "data"),
        "kafka": {"bootstrap_servers": servers},
        "metrics": {"port": 0},
    }
    config = folder / "weir.toml"
    config.write_text(tomli_w.dumps(values), encoding="utf-8")
    settings = load_settings(config)
    path = folder / "transactions.parquet"
    pq.write_table(simulate(SimulatorSettings.for_events(events)), path)
    file = open_events(path, settings.event, settings.labels.field)
    silent = lambda step, share: None  # noqa: E731
    stop = int(file.times[min(_TRAINED_ON, len(file) - 1)])
    rows = training_set(settings, file, None, stop, silent)
    registry = open_registry(settings)
    models = []
    for seed in range(1, count + 1):
        # Its quality is of no interest here, its size is: only the autoencoder learns for a moment.
        autoencoder = settings.training.autoencoder.model_copy(update={"epochs": 1})
        training = settings.training.model_copy(update={"seed": seed, "autoencoder": autoencoder})
        package = train(rows, training, settings.data_dir / "packages", silent)
        models.append(version_of(registry.register(package, None if models else CHAMPION_KEY)))
    ensure_all_topics(connect(settings.kafka), settings)
    return config, file, models


class Replay:
    """Sends one span of the file after another."""

    def __init__(self, file: EventFile, settings: Settings) -> None:
        self._file, self._settings = file, settings
        self._next = 0

    def send(self, events: int, pace: Pace) -> int:
        """Send about so many; how many it were. No two spans share a millisecond."""
        times = self._file.times
        first, last = self._next, min(self._next + events, len(times) - 1)
        stop = int(times[last])
        self._next = int(np.searchsorted(times, stop))
        start = int(times[first]) if first else None
        replayer = Replayer(
            self._file,
            self._settings.kafka,
            self._settings.topics,
            self._settings.labels,
            pace,
            start_ms=start,
            stop_ms=stop,
        )
        return replayer.run(threading.Event()).events


def largest_rate(
    replay: Replay, watched: Scores, scorer: DemoScorer, sent: int, step_s: float
) -> tuple[float, int]:
    """Raise the rate step by step; the largest that was kept up with, and how many were sent.

    A rate is too large where more than a quarter of a second's worth of events wait at the end of
    its step: at a rate that can be kept it is what the transactions under way hold.
    """
    rate, kept = _FIRST_RATE, 0.0
    while True:
        begun = monotonic()
        sent += replay.send(round(rate * step_s), Pace(rate=rate))
        took_s, waiting = monotonic() - begun, sent - watched.seen
        watched.wait_for(sent, scorer)
        if waiting > KEPT_S * rate or took_s > step_s + _SEND_OVERHEAD_S:
            return kept or rate, sent
        rate, kept = rate * _RISE, rate


def latency(seen: Any, phase: Phase) -> dict[str, float]:
    """Percentiles of one phase, milliseconds."""
    arrived = seen["arrived"] / 1e3
    rows = (arrived >= phase.start + _SETTLE_S) & (arrived <= phase.end - _TAIL_S)
    times = seen["seen"][rows] - seen["arrived"][rows]
    if not times.size:
        return {}
    return {f"p{q:g}_ms": round(float(np.percentile(times, q)), 1) for q in (50, 90, 99, 99.9)}


def check(
    settings: Settings,
    packages: dict[str, ModelPackage],
    sent: int,
    seen: Any,
    named: Sequence[str],
) -> dict[str, Any]:
    """Look for every event, compute every score again, and follow the models along offsets."""
    sessions = {
        name: onnxruntime.InferenceSession(package.model, providers=["CPUExecutionProvider"])
        for name, package in packages.items()
    }
    wrong_scores = 0
    logged: list[tuple[NDArray[np.int64], str]] = []
    turns: dict[int, list[str]] = {}
    for batch in read_to_end(settings.kafka, settings.topics.feature_log):
        for message in batch:
            table = read_feature_log(message.value() or b"")
            name = table.schema.metadata[b"weir.model"].decode()
            place = {each: i for i, each in enumerate(feature_names(table))}
            columns = [place[each] for each in packages[name].features.names]
            right = sessions[name].run(
                ["score"], {"features": np.ascontiguousarray(feature_matrix(table)[:, columns])}
            )[0]
            wrong_scores += int((~(np.abs(right - table["score"].to_numpy()) <= TOLERANCE)).sum())
            logged.append((table["event_id"].to_numpy(), name))
            models = turns.setdefault(message.partition(), [])
            if not models or models[-1] != name:
                models.append(name)
    by_name = {name: code for code, name in enumerate(seen["names"].tolist())}
    ids = np.concatenate([rows for rows, _ in logged])
    codes = np.concatenate([np.full(rows.size, by_name.get(name, -1)) for rows, name in logged])
    in_log, in_scores = np.argsort(ids, kind="stable"), np.argsort(seen["ids"], kind="stable")
    same = ids.size == seen["ids"].size and bool(
        (ids[in_log] == seen["ids"][in_scores]).all()
        and (codes[in_log] == seen["models"][in_scores]).all()
    )
    distinct = int(np.unique(seen["ids"]).size)
    return {
        "sent": sent,
        "lost": sent - distinct,
        "doubled": int(seen["ids"].size) - distinct,
        "scores_not_of_the_model_named": wrong_scores,
        "scores_and_feature_log_name_the_same": same,
        "partitions_where_models_follow_the_champions": sum(
            models == list(named) for models in turns.values()
        ),
        "partitions": len(turns),
    }


def main() -> None:
    """Run and report."""
    args = arguments(
        __doc__ or "",
        swaps={"type": int, "default": None},
        seconds={"type": float, "default": None, "help": "of each phase"},
        events={"type": int, "default": None, "help": "in the file"},
    )
    swaps = args.swaps or (10 if args.quick else 50)
    seconds = args.seconds or (12.0 if args.quick else 75.0)
    count = args.events or (400_000 if args.quick else 4_500_000)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory(prefix="weir-swaps-") as name:
        folder = Path(name)
        with LocalBroker(BrokerSettings(data_dir=folder / "broker", port=0)) as broker:
            config, file, models = prepare(folder, count, broker.bootstrap_servers)
            settings = load_settings(config)
            replay, swapper = Replay(file, settings), Swapper(settings, models)
            watched = Scores(
                settings.kafka,
                settings.topics.scores,
                settings.topics.partitions,
                folder / "seen.npz",
            )
            phases: list[Phase] = []
            with DemoScorer(config, os.environ, folder / "scorer.log") as scorer, watched:
                sent = replay.send(_WARM_UP, Pace())
                watched.wait_for(sent, scorer)
                step_s = 2.0 if args.quick else 5.0
                largest, sent = largest_rate(replay, watched, scorer, sent, step_s)
                rate = SHARE * largest
                print(f"largest rate {largest:,.0f} events/s", file=sys.stderr)
                # The file has to last for three phases.
                seconds = min(seconds, (count - sent) / 3.1 / rate)
                events = round(rate * seconds)
                for phase in (Phase(each, events) for each in ("before", "swaps", "after")):
                    phases.append(phase)
                    phase.start = time()
                    if phase.name == "swaps":
                        thread = threading.Thread(target=swapper.run, args=(swaps, seconds))
                        thread.start()
                    sent += replay.send(events, Pace(rate=rate))
                    phase.end = time()
                    watched.wait_for(sent, scorer)
                    if phase.name == "swaps":
                        thread.join()
            seen = dict(np.load(folder / "seen.npz"))
            registry = open_registry(settings)
            packages = {each.package[:12]: registry.resolve(each.version) for each in models}
            named = [each.package[:12] for each in swapper.named]
            right = check(settings, packages, sent, seen, named)
    found = {phase.name: latency(seen, phase) for phase in phases}
    quiet = (found["before"]["p99_ms"] + found["after"]["p99_ms"]) / 2
    ratio = found["swaps"]["p99_ms"] / quiet
    done = len(swapper.took_ms)
    answers_right = (
        right["lost"] == right["doubled"] == right["scores_not_of_the_model_named"] == 0
        and right["scores_and_feature_log_name_the_same"]
        and right["partitions_where_models_follow_the_champions"] == right["partitions"]
    )
    used = Counter(named)
    lines = [
        f"largest rate {largest:,.0f} events/s; then {rate:,.0f} a second, {seconds:.0f} s a phase",
        *(
            f"  {phase:<8}" + "  ".join(f"{key[:-3]} {value:8.1f} ms" for key, value in at.items())
            for phase, at in found.items()
        ),
        f"{done} swaps between {len(used)} models, {np.median(swapper.took_ms):.0f} ms each from "
        "the record to the scorer's word (median)",
        json.dumps(right),
    ]
    report(
        args,
        name="swaps",
        figure=round(ratio, 3),
        unit="of the p99 without swaps",
        target=TARGET,
        met=bool(ratio <= TARGET and answers_right and done == swaps),
        details={
            "largest_rate": round(largest),
            "rate": round(rate),
            "seconds": round(seconds, 1),
            "swaps": done,
            "swap_ms_median": round(float(np.median(swapper.took_ms))),
            "swap_ms_largest": round(max(swapper.took_ms)),
            "phases": found,
            **right,
        },
        text="\n".join(lines),
    )


if __name__ == "__main__":
    main()
