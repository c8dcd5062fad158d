"""End-to-end latency with snapshots on and off, in one run: the price of never starting anew.

The scorer's own exactly-once loop answers a steady stream of events with a task that holds state of
the given size, first without snapshots, then with one after another, then without again. Latency is
from the producer's timestamp to the committed answer, over the events of each phase.
"""

import json
import sys
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep, time
from typing import Any

import numpy as np
from confluent_kafka import Producer

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.harness import arguments, report
from streams.events.contract import EventContract, Field
from streams.features import FeatureDeclaration, FeaturePlan
from streams.features.state import FeatureState
from streams.intake.input_batch import InputBatch
from streams.intake.intake import Intake
from streams.intake.time_merge import AlignmentSettings
from streams.kafka.client import KafkaSettings, connect
from streams.kafka.topics.weir_topics import ROLES, TopicSettings, ensure_topics
from streams.loop.fused.loop import FusedLoop
from streams.loop.fused.task import Answers
from streams.loop.settings import LoopSettings
from streams.snapshots import SnapshotSettings
from streams.transactions.outcome import Committed, Outgoing
from weir.broker import BrokerSettings, LocalBroker

TARGET_MS = 50.0
_ENTITIES = 500_000
_WARM_UP_S = 3.0
_CONTRACT = EventContract(
    id="id",
    time="at",
    key="card",
    fields={"id": Field(type="int"), "card": Field(type="int"), "amount": Field(type="float")},
)


def plan() -> FeaturePlan:
    """Fifteen windows of one entity."""
    features = [
        {
            "name": f"{aggregate}_{window}",
            "kind": "window",
            "entity": "card",
            "window": window,
            "aggregate": aggregate,
            **({} if aggregate == "count" else {"field": "amount"}),
        }
        for aggregate in ("count", "sum", "mean", "min", "max")
        for window in ("1h", "1d", "30d")
    ]
    return FeaturePlan([_declaration(feature) for feature in features], _CONTRACT)


def _declaration(values: dict[str, Any]) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(FeatureDeclaration).validate_python(values)


class Windows:
    """A task that keeps feature windows, and answers with one of them."""

    memory_ms = 31 * 86_400_000

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self.state = FeatureState(plan())
        self.latency: list[np.ndarray[Any, Any]] = []
        self.reset = self.restore = self.aborted = self.load = lambda *_: None
        self.mark, self.release, self.undo = (self.state.mark, self.state.release, self.state.undo)
        self.dump = self.state.dump
        self.check = lambda: None

    def fill(self, entities: int) -> None:
        """Give each entity three events."""
        from streams.events.record_batch import RecordBatch

        now = round(time() * 1_000)
        rng = np.random.default_rng(1)
        from streams.events.json_decoder import Decoder

        decoder = Decoder(_CONTRACT)
        for lap in range(3):
            for first in range(0, entities, 20_000):
                cards = range(first, min(entities, first + 20_000))
                at = now - (3 - lap) * 3_600_000
                values = [
                    b'{"id":%d,"card":%d,"amount":%f,"at":%d}' % (i, card, amount, at)
                    for i, (card, amount) in enumerate(
                        zip(cards, rng.lognormal(3, 1, len(cards)), strict=True)
                    )
                ]
                decoded = decoder.decode(values, np.full(len(values), now))
                batch: RecordBatch = decoded.events
                self.state.update(batch)

    def process(self, work: InputBatch) -> Answers:
        """Update the windows; answer with the first of them."""
        rows = self.state.update(work.events)
        values: Sequence[bytes] = [b"%f" % value for value in rows.matrix[:, 0]]
        arrived = work.arrived

        def visible(committed: Committed) -> None:
            self.latency.append(time() * 1_000 - arrived)

        out = Outgoing(self._topic, values, [None] * len(values), work.partitions.tolist())
        return Answers([out], visible)


def measure(
    kafka: KafkaSettings,
    topics: TopicSettings,
    entities: int,
    rate: int,
    seconds: float,
    snapshots: SnapshotSettings,
) -> dict[str, Any]:
    """Answer `rate` events a second for some time; percentiles in ms, and what snapshots took."""
    task = Windows(topics.scores)
    task.fill(entities)
    seen: list[tuple[str, float, float, int]] = []
    loop = FusedLoop(
        kafka,
        LoopSettings(group=f"snapshots-{time()}"),
        new_intake=lambda: Intake(
            _CONTRACT, topics.events, None, AlignmentSettings(), lambda: round(time() * 1_000)
        ),
        task=task,  # type: ignore[arg-type]
        snapshots=snapshots,
        snapshot_topic=topics.snapshots,
        observe_snapshot=lambda *what: seen.append(what),
    )
    stop = threading.Event()
    thread = threading.Thread(target=loop.run, args=(stop,))
    thread.start()
    while not loop.ready:
        sleep(0.05)
    _send(kafka, topics.events, entities, rate, _WARM_UP_S)
    sleep(1.0)
    task.latency.clear()
    _send(kafka, topics.events, entities, rate, seconds)
    sleep(1.0)
    stop.set()
    thread.join()
    latency = np.concatenate(task.latency)
    return {
        "events": int(latency.size),
        **{f"p{q:g}_ms": round(float(np.percentile(latency, q)), 1) for q in (50, 99, 99.9)},
        "snapshots": sum(outcome == "written" for outcome, *_ in seen),
        "bytes": max((size for *_, size in seen), default=0),
        "longest_pause_ms": round(1_000 * max((pause for _, pause, *_ in seen), default=0.0), 1),
    }


def _send(kafka: KafkaSettings, topic: str, entities: int, rate: int, seconds: float) -> None:
    producer = Producer(kafka.producer_config(linger_ms=1))
    rng = np.random.default_rng(2)
    start, sent = monotonic(), 0
    while (passed := monotonic() - start) < seconds:
        for _ in range(int(passed * rate) - sent):
            card = int(rng.integers(entities))
            event = {"id": sent, "card": card, "amount": 3.5, "at": round(time() * 1_000)}
            with suppress(BufferError):
                producer.produce(topic, json.dumps(event), str(card))
            sent += 1
        producer.poll(0.002)
    producer.flush(30)


def main() -> None:
    """Measure off, on, off."""
    args = arguments(__doc__ or "")
    entities, seconds = (100_000, 8.0) if args.quick else (_ENTITIES, 20.0)
    off = SnapshotSettings(enabled=False)
    on = SnapshotSettings(every_events=1, every="1s")
    details: dict[str, Any] = {"entities": entities, "rate": 1_000}
    with (
        tempfile.TemporaryDirectory() as folder,
        LocalBroker(BrokerSettings(data_dir=Path(folder), port=0)) as broker,
    ):
        kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        for phase, settings in (("off", off), ("on", on), ("off_again", off)):
            topics = TopicSettings(**{role: f"{phase}-{role}" for role in ROLES})
            ensure_topics(connect(kafka), topics)
            details[phase] = measure(kafka, topics, entities, 1_000, seconds, settings)
    pause = details["on"]["longest_pause_ms"]
    lines = [f"{entities:,} entities with 15 windows, 1,000 events a second, {seconds:g} s each"]
    for phase in ("off", "on", "off_again"):
        found = details[phase]
        lines.append(
            f"  {phase:<10} p50 {found['p50_ms']:7.1f}  p99 {found['p99_ms']:7.1f}  "
            f"p99.9 {found['p99.9_ms']:7.1f} ms  {found['snapshots']} snapshots of "
            f"{found['bytes'] / 1e6:.0f} MB, longest pause {found['longest_pause_ms']} ms"
        )
    report(
        args,
        name="snapshots",
        figure=pause,
        unit="ms, longest pause",
        target=TARGET_MS,
        met=pause < TARGET_MS,
        details=details,
        text="\n".join(lines),
    )


if __name__ == "__main__":
    main()
