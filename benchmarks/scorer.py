"""Events per second of the scorer on one core, against a bare consume-and-produce loop.

Both read the same events and labels from the same broker, in the same batches, and write the same
bytes to the same number of partitions in the same transactions; the bare loop computes nothing. So
the ratio says what decoding, windows, the model and encoding cost on top of Kafka itself. The
process is pinned to one core, the broker to the others.

The events are simulated, or those of the Fraud Detection Handbook (`--handbook FILE`), whose times
are whole seconds that many of them share. With another checkout beside this one, `--before` says
instead how much CPU time an event takes here, as a share of what it takes there, in the same run:

    git worktree add ../before COMMIT
    python benchmarks/scorer.py --handbook transactions.parquet --before ../before

With `--arm 0.05` it says what an arm beside the champion costs that answers for this share of the
keys: CPU time per event with the champion alone, as a share of that with the arm, in turns. The arm
is another engine of the same model, so that nothing but the routing differs.
"""

import argparse
import os
import sys
import tempfile
import threading
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter, process_time, sleep
from typing import Any

import pyarrow.parquet as pq
import tomli_w

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.harness import arguments, report
from benchmarks.scorer_versions import Moment, Run, command, compare, stage_table
from inference.control.commands import version_of
from inference.packages.registry import CHAMPION_ALIAS
from inference.routing.arm import Arm
from inference.serving.metrics import STAGES
from streams.files.event_file import EventFile, open_events
from streams.intake.input_batch import InputBatch
from streams.kafka.client import KafkaSettings, connect
from streams.kafka.topics.weir_topics import TopicSettings, ensure_topics
from streams.loop.fused.task import Answers
from streams.replay.pace import Pace
from streams.replay.replay import Replayer
from streams.tracing.tracer import Tracer
from streams.transactions.outcome import Committed, Outgoing
from weir.broker import BrokerSettings, LocalBroker
from weir.config.settings import Settings, load_settings
from weir.services.build_scorer import build_scorer
from weir.services.scorer_model import open_model, package_trials
from weir.services.scorer_process import ScorerProcess
from weir.services.wiring import open_registry
from weir.simulator import SimulatorSettings, simulate
from weir.training.registering import train_and_register

ROOT = Path(__file__).parents[1]
TARGET = 0.25
BEFORE_TARGET = 0.8
ARM_TARGET = 0.9
QUICK_EVENTS = 100_000
CORES = sorted(os.sched_getaffinity(0))


class Recorder:
    """A task that passes everything on to the scorer and remembers what it answered.

    Attributes:
        started, ended: when the first events came, and when the last answers were visible.
        run: what it took from the start of the loop to the last answers.
    """

    def __init__(
        self, scorer: Any, expected: int, done: threading.Event, now: Callable[[int], Moment]
    ) -> None:
        self._scorer = scorer
        self._expected = expected
        self._done = done
        self._now = now
        self._begin = now(0)
        self._seen = 0
        self.batches: list[tuple[int, list[Outgoing]]] = []
        self.started = self.ended = 0.0
        self.run: Run | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._scorer, name)

    def process(self, work: InputBatch) -> Answers:
        """Pass on, and remember."""
        if not self.batches:
            self.started = perf_counter()
        answers: Answers = self._scorer.process(work)
        self.batches.append((len(work.events) + len(work.labels), answers.outgoing))

        def when_visible(committed: Committed) -> None:
            answers.when_visible(committed)
            self._seen += len(work.events)
            if self._seen >= self._expected:
                self.ended = perf_counter()
                self.run = self._now(self._seen).since(self._begin)
                self._done.set()

        return Answers(answers.outgoing, when_visible)


def prepare(folder: Path, args: argparse.Namespace) -> tuple[Path, Path]:
    """Files of settings and of events."""
    count = QUICK_EVENTS if args.quick else args.events
    events = folder / "transactions.parquet"
    if args.handbook is None:
        example = "weir/config/example.toml"
        table = simulate(SimulatorSettings.for_events(count))
    else:
        example = "examples/handbook/weir.toml"
        table = pq.read_table(args.handbook).slice(0, count)
    pq.write_table(table, events)
    # What both checkouts are to understand is written as the older one does.
    values = tomllib.loads(((args.before or ROOT) / example).read_text())
    values["data_dir"] = str(folder / "data")
    config = folder / "weir.toml"
    config.write_text(tomli_w.dumps(values))
    return config, events


def run_scorer(
    settings: Settings,
    kafka: KafkaSettings,
    events: int,
    share: float = 0.0,
    tracer: Tracer | None = None,
) -> Recorder:
    """Score all that stands in the topic, in this process; an arm has a share of the keys."""
    done = threading.Event()
    registry = open_registry(settings)
    process: ScorerProcess = build_scorer(settings, kafka, registry, done, tracer=tracer)
    if share:
        process.arms = None
        process.answerer.route("benchmark", [("canary", open_arm(settings))], [share])

    def now(seen: int) -> Moment:
        value = process.prometheus.get_sample_value
        stages = {s: value("weir_stage_seconds_sum", {"stage": s}) or 0.0 for s in STAGES}
        return Moment(perf_counter(), process_time(), seen, stages)

    recorder = Recorder(process.loop._task, events, done, now)
    process.loop._task = recorder
    process.run(done)
    return recorder


def run_bare(
    kafka: KafkaSettings, settings: Settings, batches: list[tuple[int, list[Outgoing]]]
) -> float:
    """The same traffic without any work: seconds from the first record to the last commit."""
    from confluent_kafka import Consumer, Producer, TopicPartition

    topics = settings.topics
    suffix = "-bare"
    bare = TopicSettings(
        scores=topics.scores + suffix,
        feature_log=topics.feature_log + suffix,
        dead_letters=topics.dead_letters + suffix,
    )
    ensure_topics(connect(kafka), bare)
    producer = Producer(
        kafka.producer_config(transactional_id="bare", linger_ms=0, retry_backoff_ms=2)
    )
    producer.init_transactions(30)
    consumer = Consumer(kafka.consumer_config(group_id="bare", enable_partition_eof=False))
    consumer.subscribe([topics.events, topics.labels])
    messages = consumer.consume(1, 20)
    start = perf_counter()
    for count, answers in batches:
        while len(messages) < count:
            messages += consumer.consume(count - len(messages), 5)
        ends = {(m.topic(), m.partition()): m.offset() + 1 for m in messages}
        values = [m.value() for m in messages]
        messages = []
        producer.begin_transaction()
        for out in answers:
            topic = out.topic + suffix
            for value, key, partition in zip(out.values, out.keys, out.partitions, strict=True):
                producer.produce(topic, value, key, partition)
        offsets = [TopicPartition(*place, offset) for place, offset in ends.items()]
        producer.send_offsets_to_transaction(offsets, consumer.consumer_group_metadata(), 30)
        producer.commit_transaction(30)
        del values
    seconds = perf_counter() - start
    consumer.close()
    return seconds


def against_bare(args: argparse.Namespace, folder: Path) -> None:
    """Measure the scorer of this checkout, and report."""
    config, events = prepare(folder, args)
    settings = load_settings(config)
    file = open_events(events, settings.event, settings.labels.field)
    train_and_register(settings, file, None, None)
    with broker_apart(folder) as kafka:
        publish(file, kafka, settings)
        os.sched_setaffinity(0, {CORES[0]})
        recorder = run_scorer(settings, kafka, len(file))
        bare_s = run_bare(kafka, settings, recorder.batches)
    scorer_s = recorder.ended - recorder.started
    assert recorder.run is not None
    rate, bare_rate = len(file) / scorer_s, len(file) / bare_s
    ratio = bare_s / scorer_s
    report(
        args,
        name="scorer",
        figure=round(ratio, 3),
        unit="of the bare loop's rate",
        target=TARGET,
        met=ratio >= TARGET,
        details={
            "events": len(file),
            "handbook": args.handbook is not None,
            "events_per_second": round(rate),
            "bare_events_per_second": round(bare_rate),
            "transactions": len(recorder.batches),
            "us_per_event": recorder.run.as_dict(),
        },
        text="\n".join(
            [
                f"scorer {rate:>10,.0f} events/s   bare loop {bare_rate:>10,.0f} events/s",
                "",
                *stage_table({"now": [recorder.run]}),
            ]
        ),
    )


def open_arm(settings: Settings) -> Arm:
    """The champion's model once more, on an engine of its own."""
    registry = open_registry(settings)
    version = version_of(registry.get(CHAMPION_ALIAS))
    model = open_model(settings, registry, version, package_trials(settings))
    serving = model.made_ready(settings.plan().names, [settings.policy], None)
    return Arm("canary", serving, model.switch.off)


def against_one_arm(args: argparse.Namespace, folder: Path) -> None:
    """Measure the scorer with the champion alone, and with an arm beside it, and report."""
    config, events = prepare(folder, args)
    settings = load_settings(config)
    file = open_events(events, settings.event, settings.labels.field)
    train_and_register(settings, file, None, None)
    runs: dict[str, list[Run]] = {"one arm": [], "two arms": []}
    with broker_apart(folder) as kafka:
        publish(file, kafka, settings)
        os.sched_setaffinity(0, {CORES[0]})
        for turn in range(args.pairs + 1):
            for name, share in (("one arm", 0.0), ("two arms", args.arm)):
                loop = settings.loop.model_copy(update={"group": f"{name[:3]}-{turn}"})
                own = settings.model_copy(update={"loop": loop})
                run = run_scorer(own, kafka, len(file), share).run
                assert run is not None
                print(f"{name} {turn}: {run.cpu:.2f} us of CPU per event", file=sys.stderr)
                if turn:  # the first ones compile and warm up
                    runs[name].append(run)
    pairs = list(zip(*runs.values(), strict=True))
    ratio = median(one.cpu / two.cpu for one, two in pairs)
    report(
        args,
        name="scorer-arm",
        figure=round(ratio, 3),
        unit="of the rate per CPU second with the champion alone",
        target=ARM_TARGET,
        met=ratio >= ARM_TARGET,
        details={
            "events": len(file),
            "share": args.arm,
            "ratios": [round(one.cpu / two.cpu, 3) for one, two in pairs],
            "us_per_event": {name: [run.as_dict() for run in each] for name, each in runs.items()},
        },
        text="\n".join(stage_table(runs)),
    )


def against_before(args: argparse.Namespace, folder: Path) -> None:
    """Measure the scorers of both checkouts, and report."""
    config, events = prepare(folder, args)
    settings = load_settings(config)
    file = open_events(events, settings.event, settings.labels.field)
    with broker_apart(folder) as kafka:
        servers = kafka.bootstrap_servers
        # A model that the older checkout made can be read by both.
        command(args.before, config, servers, "train", "--data", str(events))
        publish(file, kafka, settings)
        checkouts = {"before": args.before, "now": ROOT}
        runs = compare(checkouts, config, servers, len(file), args.pairs, CORES[0])
    ratios = [now.cpu / before.cpu for before, now in zip(*runs.values(), strict=True)]
    ratio = median(ratios)
    report(
        args,
        name="scorer-before",
        figure=round(ratio, 3),
        unit="of the CPU time per event of the checkout before",
        target=BEFORE_TARGET,
        met=ratio <= BEFORE_TARGET,
        details={
            "events": len(file),
            "handbook": args.handbook is not None,
            "ratios": [round(each, 3) for each in ratios],
            "us_per_event": {name: [run.as_dict() for run in each] for name, each in runs.items()},
        },
        text="\n".join(stage_table(runs)),
    )


@contextmanager
def broker_apart(folder: Path) -> Iterator[KafkaSettings]:
    """A broker on all cores but the first, where there are several."""
    os.sched_setaffinity(0, set(CORES[1:] or CORES))
    with LocalBroker(BrokerSettings(data_dir=folder / "broker", port=0)) as broker:
        yield KafkaSettings(bootstrap_servers=broker.bootstrap_servers)


def publish(
    file: EventFile, kafka: KafkaSettings, settings: Settings, tracer: Tracer | None = None
) -> None:
    """All events, and their labels as far as they are due."""
    ensure_topics(connect(kafka), settings.topics)
    replayer = Replayer(file, kafka, settings.topics, settings.labels, Pace(), tracer=tracer)
    replayer.run(threading.Event())
    sleep(1)


def main() -> None:
    """Run and report."""
    args = arguments(
        __doc__ or "",
        events={"type": int, "default": 400_000},
        handbook={"type": Path, "help": "the Handbook's transactions, instead of simulated ones"},
        before={"type": Path, "help": "another checkout to measure in the same run"},
        arm={"type": float, "default": 0.0, "help": "an arm's share of the keys, such as 0.05"},
        pairs={"type": int, "default": 3, "help": "how often to measure both (default: 3)"},
    )
    with tempfile.TemporaryDirectory(prefix="weir-scorer-") as name:
        measure = against_bare if args.before is None else against_before
        measure = against_one_arm if args.arm else measure
        measure(args, Path(name))


if __name__ == "__main__":
    main()
