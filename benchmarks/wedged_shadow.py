"""What a shadow that is wedged costs the champion: end-to-end latency with and without one.

A scorer of its own process answers a replay at a third of the largest rate that it can keep. For
each way in which a candidate can be unwell, spans without a shadow and with one take turns, in
pairs: it answers; it never does (it is stopped); it crashes each second; it fills a gigabyte of
memory for each batch; it takes a hundred times as long. The worker itself works on events for a
tenth of its time at most (`shadow.max_busy`), as is right beside a scorer. Latency is from the
event's Kafka timestamp to when a consumer of committed records has the score. The figure is that of
the worst way: the median of its pairs' ratios of p99. Beside these stands the machine's own limit:
a loop that does nothing but compute, at the lowest priority that there is.
Afterwards every event is looked for, and every score computed again by plain ONNX Runtime. And the
same events are answered once more by a scorer beside which there never was a shadow: all scores
have to be the same to the last byte, but for `arrived` and `timings`; and for the anomaly, which
ONNX Runtime rounds by where in its batch a row stands: it has to be within 1e-6.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import sleep, time
from typing import Any

import msgspec
import numpy as np
import tomli_w

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.harness import arguments, report
from benchmarks.score_watcher import Scores
from benchmarks.shadow.unwell import hungry, slow
from benchmarks.shadow.worker import Shadow
from benchmarks.swaps import Phase, Replay, check, largest_rate, latency, prepare
from inference.control.commands import ModelVersion, encode, version_of
from inference.shadow.shadow_book import ShadowCommand, shadow_key
from streams.base.apart.priority import stand_back_as_session
from streams.base.clock import now_ms
from streams.kafka.client import connect
from streams.kafka.records.consuming import read_to_end
from streams.kafka.records.publisher import Publisher
from streams.replay.pace import Pace
from weir.broker import BrokerSettings, LocalBroker
from weir.config.settings import Settings, load_settings
from weir.demo.scorer_process import DemoScorer
from weir.services.wiring import ensure_all_topics, open_registry

TARGET = 1.2
SHARE = 1 / 3
TIMES = 100.0
MEBIBYTES = 1_024
WELL, SLEEPS, CRASHES, HUNGRY, SLOW, LOOP = (
    "it answers",
    "it never answers",
    "it crashes each second",
    "it is memory-hungry",
    "it is 100 times too slow",
    "(no shadow, but a loop)",
)
WAYS = (WELL, SLEEPS, CRASHES, HUNGRY, SLOW, LOOP)
_NICEST = 19
_HITS = {SLEEPS: signal.SIGSTOP, CRASHES: signal.SIGKILL}
_WARM_UP = 20_000
_NAME = "tried"
_KNOWN_S = 1.0
_OF_A_RUN = ("arrived", "timings")
_ROUNDING = 1e-6


@dataclass
class Bench:
    """A scorer that answers, and what is done to it.

    Attributes:
        sent: events.
        said: what came of asking the candidate, by the way it is unwell.
    """

    settings: Settings
    config: Path
    replay: Replay
    watched: Scores
    scorer: DemoScorer
    sent: int = 0
    rate: float = 0.0
    said: dict[str, list[dict[str, float]]] = field(default_factory=dict)

    def warm_up(self, step_s: float) -> None:
        """Until caches are warm; and find the rate."""
        self.sent = self.replay.send(_WARM_UP, Pace())
        self.watched.wait_for(self.sent, self.scorer)
        largest, self.sent = largest_rate(self.replay, self.watched, self.scorer, self.sent, step_s)
        self.rate = SHARE * largest

    def without(self, seconds: float) -> Phase:
        """A span without a shadow."""
        return self._span("without", seconds)

    def beside(self, how: str, seconds: float) -> Phase:
        """A span with one whose candidate is unwell; or with a loop."""
        if how == LOOP:
            with _loop():
                return self._span("with", seconds)
        with Shadow(self.config, self.config.with_name("shadow.log")) as shadow:
            stop = threading.Event()
            thread = threading.Thread(target=_hit_often, args=[shadow, _HITS.get(how), stop])
            thread.start()
            try:
                phase = self._span("with", seconds)
            finally:
                stop.set()
                thread.join()
            self.said.setdefault(how, []).append(shadow.said())
        return phase

    def try_candidate(self, model: ModelVersion) -> None:
        """From now on this one is the only candidate."""
        command = ShadowCommand(model=model, by="benchmark", at=now_ms())
        with Publisher(self.settings.kafka) as publisher:
            publisher.send(self.settings.topics.control, encode(command), shadow_key(_NAME))
            publisher.flush()
        sleep(_KNOWN_S)

    def _span(self, name: str, seconds: float) -> Phase:
        phase = Phase(name, round(self.rate * seconds), start=time())
        self.sent += self.replay.send(phase.events, Pace(rate=self.rate))
        phase.end = time()
        self.watched.wait_for(self.sent, self.scorer)
        return phase


def main() -> None:
    """Run and report."""
    args = arguments(
        __doc__ or "",
        seconds={"type": float, "default": None, "help": "of each span"},
        pairs={"type": int, "default": 5, "help": "of each way"},
        events={"type": int, "default": None, "help": "of all spans; more make them longer"},
        only={"choices": WAYS, "default": None, "help": "one way"},
        max_busy={"type": float, "default": 0.1, "help": "shadow.max_busy"},
    )
    seconds = args.seconds or (5.0 if args.quick else 10.0)
    pairs = min(args.pairs, 1) if args.quick else args.pairs
    ways = WAYS if args.only is None else (args.only,)
    count = args.events or (300_000 if args.quick else 3_600_000)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ["WEIR_SHADOW__MAX_BUSY"] = str(args.max_busy)
    with tempfile.TemporaryDirectory(prefix="weir-shadow-") as name:
        folder = Path(name)
        with LocalBroker(BrokerSettings(data_dir=folder / "broker", port=0)) as broker:
            config, file, (champion,) = prepare(folder, count, broker.bootstrap_servers, 1)
            settings = load_settings(config)
            candidates, times = unwell_models(settings, champion, folder / "unwell")
            seen_in, topics = folder / "seen.npz", settings.topics
            watched = Scores(settings.kafka, topics.scores, topics.partitions, seen_in)
            replay = Replay(file, settings)
            found: dict[str, list[tuple[Phase, Phase]]] = {}
            with DemoScorer(config, os.environ, folder / "scorer.log") as scorer, watched:
                bench = Bench(settings, config, replay, watched, scorer)
                bench.warm_up(2.0 if args.quick else 4.0)
                left = (count - bench.sent) / (2.2 * pairs * len(ways)) / bench.rate
                seconds = min(seconds, left)
                for how in ways:
                    bench.try_candidate(candidates.get(how, champion))
                    for number in range(pairs):
                        found.setdefault(how, []).append(pair(bench, how, seconds, number % 2))
                        print(f"{how}: pair {number + 1}", file=sys.stderr)
            seen = dict(np.load(seen_in))
            package = open_registry(settings).resolve(champion.version)
            short = champion.package[:12]
            right = check(settings, {short: package}, bench.sent, seen, [short])
            right["scores_that_differ_without_a_shadow"] = differing(config, file, bench.sent)
    spans = {
        how: [{each.name: latency(seen, each) for each in phases} for phases in all_of_it]
        for how, all_of_it in found.items()
    }
    ratios = {
        how: [at["with"]["p99_ms"] / at["without"]["p99_ms"] for at in all_of_it]
        for how, all_of_it in spans.items()
    }
    medians = {how: float(np.median(values)) for how, values in ratios.items()}
    worst = max(value for how, value in medians.items() if how != LOOP or len(ways) == 1)
    lines = [
        f"{bench.rate:,.0f} events/s, a third of the largest rate; {pairs} pairs of {seconds:.0f} s"
        f" for each way; the slow candidate takes {times:.0f} times as long"
    ]
    lines += [
        f"  {how:<26} p99 {middle(all_of_it, 'without'):7.1f} ms without, "
        f"{middle(all_of_it, 'with'):7.1f} ms with: {medians[how]:.2f}  "
        f"({', '.join(f'{each:.2f}' for each in ratios[how])})"
        for how, all_of_it in spans.items()
    ]
    lines.append(json.dumps(right))
    answers_right = not any(
        right[name]
        for name in (
            *("lost", "doubled", "scores_not_of_the_model_named"),
            "scores_that_differ_without_a_shadow",
        )
    )
    report(
        args,
        name="wedged-shadow",
        figure=round(worst, 3),
        unit="of the p99 without a shadow",
        target=TARGET,
        met=bool(worst <= TARGET and answers_right),
        details={
            "rate": round(bench.rate),
            "max_busy": args.max_busy,
            "seconds": seconds,
            "times_too_slow": round(times, 1),
            "medians": medians,
            "ratios": ratios,
            "spans": spans,
            "candidates": bench.said,
            **right,
        },
        text="\n".join(lines),
    )


def unwell_models(
    settings: Settings, champion: ModelVersion, folder: Path
) -> tuple[dict[str, ModelVersion], float]:
    """Registered packages by the way that they are unwell, and how many times too slow one is."""
    registry = open_registry(settings)
    package = registry.resolve(champion.version)
    too_slow, times = slow(package, folder, TIMES)
    made = {SLOW: too_slow, HUNGRY: hungry(package, folder, MEBIBYTES)}
    return {how: version_of(registry.register(each, None)) for how, each in made.items()}, times


def pair(bench: Bench, how: str, seconds: float, with_first: int) -> tuple[Phase, Phase]:
    """A span without a shadow and one with, in turns the one and the other first."""
    spans: list[Callable[[], Phase]] = [
        lambda: bench.without(seconds),
        lambda: bench.beside(how, seconds),
    ]
    first, second = (spans[place]() for place in (with_first, 1 - with_first))
    return first, second


def differing(config: Path, file: Any, sent: int) -> int:
    """Have a scorer without a shadow answer the same events; how many scores are not the same."""
    first = load_settings(config)
    values = first.model_dump(mode="json")["topics"]
    again = config.with_name("again.toml")
    text = tomllib.loads(config.read_text(encoding="utf-8"))
    roles = [role for role, topic in values.items() if isinstance(topic, str)]
    text["topics"] = text.get("topics", {}) | {role: f"again.{role}" for role in roles}
    text["loop"] = text.get("loop", {}) | {"group": "again"}
    again.write_text(tomli_w.dumps(text), encoding="utf-8")
    settings = load_settings(again)
    ensure_all_topics(connect(settings.kafka), settings)
    topics = settings.topics
    watched = Scores(settings.kafka, topics.scores, topics.partitions, again.with_name("again.npz"))
    with DemoScorer(again, os.environ, again.with_name("again.log")) as scorer, watched:
        watched.wait_for(Replay(file, settings).send(sent, Pace()), scorer)
    ours, theirs = scores_of(first), scores_of(settings)
    return sum(
        event not in ours
        or event not in theirs
        or ours[event][0] != theirs[event][0]
        or not abs(ours[event][1] - theirs[event][1]) <= _ROUNDING
        for event in ours.keys() | theirs.keys()
    )


def scores_of(settings: Settings) -> dict[int, tuple[bytes, float]]:
    """All scores by event, without what is of one run alone; and apart from each its anomaly."""
    scores = {}
    for batch in read_to_end(settings.kafka, settings.topics.scores):
        for message in batch:
            score = msgspec.json.decode(message.value() or b"")
            for name in _OF_A_RUN:
                del score[name]
            anomaly = score.pop("anomaly")
            scores[score["event_id"]] = msgspec.json.encode(score), anomaly
    return scores


def middle(spans: list[dict[str, dict[str, float]]], name: str) -> float:
    """The median p99 of the spans with, or without, ms."""
    return float(np.median([each[name]["p99_ms"] for each in spans]))


@contextmanager
def _loop() -> Iterator[None]:
    """A process of a session of its own that computes, and stands back as far as it can."""
    program = [sys.executable, "-c", "while True: pass"]
    with subprocess.Popen(program, start_new_session=True) as process:
        os.setpriority(os.PRIO_PROCESS, process.pid, _NICEST)
        stand_back_as_session(process.pid, _NICEST)
        try:
            yield
        finally:
            process.kill()


def _hit_often(shadow: Shadow, number: signal.Signals | None, stop: threading.Event) -> None:
    while number is not None and not stop.wait(1.0):
        shadow.hit_candidates(number)


if __name__ == "__main__":
    main()
