"""Events per second of the scorer on one core, against a bare consume-and-produce loop.

Both read the same events and labels from the same broker, in the same batches, and write the same
bytes to the same number of partitions in the same transactions; the bare loop computes nothing. So
the ratio says what decoding, windows, the model and encoding cost on top of Kafka itself. The
process is pinned to one core, the broker to the others.
"""

import os
import sys
import tempfile
import threading
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

import pyarrow.parquet as pq
from prometheus_client import CollectorRegistry

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.harness import arguments, report
from inference.serving.metrics import STAGES
from streams.files.event_file import open_events
from streams.intake.input_batch import InputBatch
from streams.kafka.client import KafkaSettings, connect
from streams.kafka.topics import TopicSettings, ensure_topics
from streams.loop.task import Answers
from streams.replay.pace import Pace
from streams.replay.replay import Replayer
from streams.transactions.outcome import Committed, Outgoing
from weir.broker import BrokerSettings, LocalBroker
from weir.config.settings import EXAMPLE_FILE, Settings, load_settings
from weir.services.build_scorer import ScorerProcess, build_scorer
from weir.services.training import train_and_register
from weir.services.wiring import open_registry
from weir.simulator import SimulatorSettings, simulate

TARGET = 0.25

_TITLES = {
    "produce": "produce (overlapped)",
    "commit": "commit (overlapped)",
    "other": "Kafka client, queueing",
}


class Recorder:
    """A task that passes everything on to the scorer and remembers what it answered."""

    def __init__(self, scorer: Any, expected: int, done: threading.Event) -> None:
        self._scorer = scorer
        self._expected = expected
        self._done = done
        self.seen = 0
        self.batches: list[tuple[int, list[Outgoing]]] = []
        self.started = self.ended = 0.0

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
            self.seen += len(work.events)
            if self.seen >= self._expected:
                self.ended = perf_counter()
                self._done.set()

        return Answers(answers.outgoing, when_visible)


def prepare(folder: Path, events: int) -> tuple[Settings, Any]:
    """Settings, events, and a champion."""
    os.environ["WEIR_DATA_DIR"] = str(folder)
    settings = load_settings(EXAMPLE_FILE)
    path = folder / "transactions.parquet"
    pq.write_table(simulate(SimulatorSettings.for_events(events)), path)
    file = open_events(path, settings.event, settings.labels.field)
    train_and_register(settings, file, None, None)
    return settings, file


def run_scorer(settings: Settings, kafka: KafkaSettings, events: int) -> tuple[Recorder, Any]:
    """Score everything that stands in the topic, in this process."""
    done = threading.Event()
    process: ScorerProcess = build_scorer(settings, kafka, open_registry(settings), done)
    recorder = Recorder(process.loop._task, events, done)
    process.loop._task = recorder
    process.run(done)
    return recorder, process.prometheus


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


def stage_seconds(prometheus: CollectorRegistry) -> dict[str, float]:
    """Seconds spent in each stage."""
    return {
        stage: prometheus.get_sample_value("weir_stage_seconds_sum", {"stage": stage}) or 0.0
        for stage in STAGES
    }


def main() -> None:
    """Run and report."""
    args = arguments(__doc__ or "", events={"type": int, "default": 400_000})
    events = 100_000 if args.quick else args.events
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(prefix="weir-scorer-") as name:
        folder = Path(name)
        settings, file = prepare(folder, events)
        if len(cores) > 1:
            os.sched_setaffinity(0, set(cores[1:]))
        with LocalBroker(BrokerSettings(data_dir=folder / "broker", port=0)) as broker:
            kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
            ensure_topics(connect(kafka), settings.topics)
            Replayer(file, kafka, settings.topics, settings.labels, Pace()).run(threading.Event())
            sleep(1)
            os.sched_setaffinity(0, {cores[0]})
            recorder, prometheus = run_scorer(settings, kafka, len(file))
            scorer_s = recorder.ended - recorder.started
            bare_s = run_bare(kafka, settings, recorder.batches)
    stages = stage_seconds(prometheus)
    # A transaction is written and committed in a thread while the next batch is computed.
    overlapped = stages["produce"] + stages["commit"]
    stages["other"] = scorer_s - sum(stages.values()) + overlapped
    per_event = {name: seconds / len(file) * 1e6 for name, seconds in stages.items()}
    rate, bare_rate = len(file) / scorer_s, len(file) / bare_s
    ratio = bare_s / scorer_s
    lines = [
        f"scorer {rate:>10,.0f} events/s   bare loop {bare_rate:>10,.0f} events/s",
        "",
        f"{'stage':<24}{'us per event':>14}",
        *(f"{_TITLES.get(name, name):<24}{us:>14.2f}" for name, us in per_event.items()),
    ]
    report(
        args,
        name="scorer",
        figure=round(ratio, 3),
        unit="of the bare loop's rate",
        target=TARGET,
        met=ratio >= TARGET,
        details={
            "events": len(file),
            "events_per_second": round(rate),
            "bare_events_per_second": round(bare_rate),
            "transactions": len(recorder.batches),
            "us_per_event": {name: round(us, 3) for name, us in per_event.items()},
        },
        text="\n".join(lines),
    )


if __name__ == "__main__":
    main()
