"""A campaign of schemas: hostile ones in a real registry, records that name them, a real scorer.

Between them stand good records of a good schema. Nothing but the scorer's topics and its process is
looked at: it lives, keeps within its memory, answers each good record once, and says of each other
one what became of it.
"""

import json
import subprocess
import uuid
from collections import Counter
from dataclasses import dataclass, field
from io import BytesIO
from time import monotonic, sleep, time

import fastavro
import requests
from confluent_kafka import Consumer, Producer, TopicPartition
from google.protobuf import message_factory
from hypothesis import HealthCheck, Phase, given, seed, settings

from streams.formats.protoc import compile_schema
from streams.formats.registry import Schema
from tests.fuzz.campaign import (
    CODECS,
    MOST_MEMORY_MB,
    Order,
    Progress,
    end_scorer,
    make_topics,
    peak_mb,
    running_scorer,
)
from tests.fuzz.checker import Violations, read
from tests.fuzz.generator import PARTITIONS
from tests.fuzz.schemas import Hostile, hostile
from tests.registry_server import Registry

KINDS = {"avro": "AVRO", "protobuf": "PROTOBUF", "json_schema": "JSON"}
_STUCK_S = 300.0
_BETWEEN = 3
_DRAWN = 50
_TYPES = {
    "transaction_id": ("long", "int64"),
    "time": ("long", "int64"),
    "customer_id": ("long", "int64"),
    "terminal_id": ("long", "int64"),
    "merchant_category": ("string", "string"),
    "amount": ("double", "double"),
}
_GOOD = {
    "AVRO": json.dumps(
        {
            "type": "record",
            "name": "Payment",
            "fields": [{"name": name, "type": kind} for name, (kind, _) in _TYPES.items()],
        }
    ),
    "PROTOBUF": 'syntax = "proto3"; message Payment {'
    + "".join(f"{kind} {name} = {i + 1};" for i, (name, (_, kind)) in enumerate(_TYPES.items()))
    + "}",
    "JSON": '{"type": "object", "properties": {"amount": {"type": "number"}}}',
}


@dataclass
class SchemaReport:
    """What came of it, for one format."""

    format: str
    violations: Violations = field(default_factory=Violations)
    registered: int = 0
    declined: int = 0
    sent: int = 0
    good: int = 0
    answered: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    peak_mb: int = 0
    seconds: float = 0.0


def run_schemas(
    order: Order,
    registry: Registry,
    format: str,
    wanted: int,
    progress: Progress = lambda what, done, total: None,
) -> SchemaReport:
    """Run one campaign.

    Args:
        order: its settings name the format and the registry; `records` counts for nothing.
        wanted: how many hostile schemas are registered, at least.
    """
    report = SchemaReport(format)
    kind, start = KINDS[format], monotonic()
    make_topics(order)
    with running_scorer(order, report.violations) as scorer:
        feeder = _Feeder(order, registry, kind, report)
        batch = 0
        while report.registered < wanted and batch * _DRAWN < 10 * wanted + _DRAWN:
            for made in _drawn(kind, order.seed * 1_000 + batch):
                if report.registered >= wanted:
                    break
                feeder.send(made)
                if scorer.poll() is not None:
                    report.violations.add("the scorer ended", f"exit code {scorer.returncode}")
                    return report
                progress(f"{format}: schemas", report.registered, wanted)
            batch += 1
        feeder.finish()
        _await_all(order, report, scorer, progress)
        report.peak_mb = peak_mb(scorer.pid)
        end_scorer(scorer, report.violations)
    if report.peak_mb > MOST_MEMORY_MB:
        report.violations.add("memory", f"{report.peak_mb:,} MiB")
    _check(order, report)
    report.seconds = monotonic() - start
    return report


def _drawn(kind: str, chance: int) -> list[Hostile]:
    drawn: list[Hostile] = []

    @seed(chance)
    @settings(
        max_examples=_DRAWN,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(hostile(**{name: each == kind for name, each in KINDS.items()}))
    def draw(made: Hostile) -> None:
        drawn.append(made)

    draw()
    return drawn


class _Feeder:
    """Registers schemas and sends records that name them, by all codecs in turn."""

    def __init__(self, order: Order, registry: Registry, kind: str, report: SchemaReport) -> None:
        self._order, self._kind, self._report = order, kind, report
        self._registry = registry
        self._session = requests.Session()
        self._producers = [
            Producer(
                {
                    "bootstrap.servers": order.bootstrap_servers,
                    "compression.type": codec,
                    "linger.ms": 20,
                }
            )
            for codec in CODECS
        ]
        good = self._register(_GOOD[kind], [])
        assert good is not None, "the registry takes no good schema"
        self._good_id = good
        self._message = None
        if kind == "PROTOBUF":
            file = compile_schema(Schema(kind, _GOOD[kind], {}))
            self._message = message_factory.GetMessageClass(file.message_types_by_name["Payment"])

    def send(self, made: Hostile) -> None:
        """Register a schema, with what it refers to, and send records of it and good ones."""
        references = []
        for name, text in made.references.items():
            subject = f"s-{uuid.uuid4().hex}"
            if self._register(text, [], subject) is not None:
                references.append({"name": name, "subject": subject, "version": 1})
        schema_id = self._register(made.text, references)
        if schema_id is None:
            self._report.declined += 1
            return
        self._report.registered += 1
        for number in range(2):
            self._produce(schema_id, made.body, number)
        for _ in range(_BETWEEN):
            self._report.good += 1
            self._produce(self._good_id, self._good(self._report.good), self._report.good)

    def finish(self) -> None:
        """See to it that all of it is in Kafka."""
        for producer in self._producers:
            assert producer.flush(120) == 0, "Kafka did not take what was sent"

    def _register(self, text: str, references: list[dict], subject: str = "") -> int | None:
        """The id under which the registry keeps a text; None where it takes it by no door.

        Its API like Confluent's looks at most texts, and its own does not.
        """
        body = {"schema": text, "schemaType": self._kind, "references": references}
        answer = self._session.post(
            f"{self._registry.url}/subjects/{subject or f's-{uuid.uuid4().hex}'}/versions",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/vnd.schemaregistry.v1+json"},
            timeout=60,
        )
        if answer.status_code == 200 and "id" in answer.json():
            return answer.json()["id"]
        answer = self._session.post(
            f"{self._registry.root}/apis/registry/v2/groups/default/artifacts",
            data=text.encode(errors="replace"),
            headers={
                "Content-Type": "application/json",
                "X-Registry-ArtifactType": self._kind,
                "X-Registry-ArtifactId": subject or f"s-{uuid.uuid4().hex}",
            },
            timeout=60,
        )
        return answer.json()["contentId"] if answer.status_code == 200 else None

    def _produce(self, schema_id: int, body: bytes, number: int) -> None:
        self._report.sent += 1
        producer = self._producers[self._report.sent % len(self._producers)]
        value = b"\0" + schema_id.to_bytes(4, "big") + body
        producer.produce(self._order.topics["events"], value, partition=number % PARTITIONS)
        producer.poll(0)

    def _good(self, number: int) -> bytes:
        event = {
            "transaction_id": number,
            "time": round(time() * 1_000),
            "customer_id": number % 50,
            "terminal_id": number % 20,
            "merchant_category": "food",
            "amount": 10.0,
        }
        if self._kind == "AVRO":
            stream = BytesIO()
            fastavro.schemaless_writer(stream, json.loads(_GOOD["AVRO"]), event)
            return stream.getvalue()
        if self._message is not None:
            return b"\0" + self._message(**event).SerializeToString()
        return json.dumps(event).encode()


def _await_all(
    order: Order, report: SchemaReport, scorer: subprocess.Popen, progress: Progress
) -> None:
    """Until the scorer's group has committed all; a standstill is a violation."""
    consumer = Consumer({"bootstrap.servers": order.bootstrap_servers, "group.id": order.group})
    places = [TopicPartition(order.topics["events"], each) for each in range(PARTITIONS)]
    moved_at, before = monotonic(), -1
    try:
        while scorer.poll() is None:
            ends = [consumer.get_watermark_offsets(each, timeout=30)[1] for each in places]
            done = [max(0, each.offset) for each in consumer.committed(places, timeout=30)]
            left = sum(ends) - sum(done)
            progress(f"{report.format}: records left", left, sum(ends))
            if left <= 0:
                return
            if left != before:
                moved_at, before = monotonic(), left
            if monotonic() - moved_at > _STUCK_S:
                report.violations.add("stuck", f"{left} records left for {_STUCK_S:.0f} s")
                return
            sleep(0.5)
    finally:
        consumer.close()


def _check(order: Order, report: SchemaReport) -> None:
    answers: Counter[int] = Counter()
    for message in read(order.bootstrap_servers, order.topics["scores"]):
        answers[json.loads(message.value())["event_id"]] += 1
    report.answered = sum(answers.values())
    good = [answers[number] for number in range(1, report.good + 1)]
    if wrong := sum(each != 1 for each in good):
        report.violations.add("good records without one answer", str(wrong))
    for message in read(order.bootstrap_servers, order.topics["dead_letters"]):
        report.reasons[dict(message.headers() or [])["weir.reason"].decode()] += 1
    if (known := report.answered + report.reasons.total()) != report.sent:
        report.violations.add("records without an outcome", f"{report.sent - known:,}")
