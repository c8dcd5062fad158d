"""One trace from the producer to the explanation, through real Kafka, in both topologies."""

import subprocess
import sys
import tomllib
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event, Thread
from time import monotonic, sleep
from typing import Any

import pytest
import tomli_w
from confluent_kafka import Message, Producer
from front_door import Trained
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry

from streams.events.json_encoder import EventEncoder
from streams.feature_log import read_feature_log
from streams.files.event_file import EventFile, open_events
from streams.intake import header_texts
from streams.kafka.client import connect
from streams.kafka.records.consuming import read_to_end
from streams.replay.pace import Pace
from streams.replay.replay import Replayer
from streams.tracing.headers import TRACEPARENT
from streams.tracing.settings import TracingSettings
from streams.tracing.tracer import Tracer
from weir.config.settings import Settings, load_settings
from weir.services.build_explainer import build_explainer
from weir.services.build_scorer import build_scorer
from weir.services.wiring import ensure_all_topics, open_registry

COUNT = 60
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
UNSAMPLED = f"00-{TRACE}-{SPAN}-00".encode()
ROOT = Path(__file__).parents[3]


class Process:
    """What makes spans, and those that it made."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.counted = dict.fromkeys(("exported", "failed", "dropped", "malformed"), 0)
        self.tracer = Tracer(TracingSettings(sample=1), self._exporter, self._count)

    def _count(self, outcome: str, count: int) -> None:
        self.counted[outcome] += count

    def ended(self) -> dict[int, ReadableSpan]:
        """Its spans, by their ids."""
        self.tracer.close()
        return {span.context.span_id: span for span in self._exporter.get_finished_spans()}


@contextmanager
def running(run: Callable[[Event], str], stop: Event) -> Iterator[None]:
    """What runs for good, in a thread."""
    said: list[str | BaseException] = []

    def work() -> None:
        try:
            said.append(run(stop))
        except BaseException as error:
            said.append(error)

    thread = Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(60)
    assert said == ["the last transaction is committed"]


def scored(
    settings: Settings, tracer: Tracer | None, registry: CollectorRegistry | None = None
) -> Any:
    """Score what comes, during the block."""
    stop = Event()
    scorer = build_scorer(
        settings, settings.kafka, open_registry(settings), stop, prometheus=registry, tracer=tracer
    )
    return running(scorer.run, stop)


def explained(settings: Settings, tracer: Tracer) -> Any:
    """Explain what comes, during the block."""
    stop = Event()
    explainer = build_explainer(
        settings, settings.kafka, open_registry(settings), CollectorRegistry(), stop, tracer
    )
    return running(explainer.run, stop)


def records(settings: Settings, topic: str, count: int) -> list[Message]:
    """Wait until so many are there."""
    deadline = monotonic() + 90
    while True:
        found = [message for batch in read_to_end(settings.kafka, topic) for message in batch]
        if len(found) >= count:
            assert len(found) == count
            return found
        assert monotonic() < deadline, f"{len(found)} of {count} records in {topic}"
        sleep(0.1)


def ids_said(messages: list[Message]) -> list[str]:
    """What their headers say, but for those that we did not trace."""
    said = [dict(message.headers() or ()).get(TRACEPARENT) for message in messages]
    return sorted(text.decode() for text in said if text not in (None, UNSAMPLED))


def ids_of(spans: dict[int, ReadableSpan]) -> list[str]:
    """What the headers have to say of spans."""
    contexts = [span.context for span in spans.values()]
    return sorted(f"00-{c.trace_id:032x}-{c.span_id:016x}-{c.trace_flags:02x}" for c in contexts)


def send(settings: Settings, file: EventFile, tracer: Tracer) -> None:
    """Events of a replay, each of a trace, and three that are of none that counts."""
    Replayer(
        file,
        settings.kafka,
        settings.topics,
        settings.labels,
        Pace(),
        send_labels="none",
        limit=COUNT,
        tracer=tracer,
    ).run(Event())
    producer = Producer(settings.kafka.producer_config())
    values = EventEncoder(settings.event).encode(file.batch(COUNT, COUNT + 3))
    for value, text in zip(values, (UNSAMPLED, b"00-nonsense", None), strict=True):
        headers = [] if text is None else [(TRACEPARENT, text)]
        producer.produce(settings.topics.events, value, b"k", headers=headers)
    assert producer.flush(30) == 0


@pytest.mark.parametrize("topology", ["fused", "staged"])
def test_one_trace_from_the_producer_to_the_explanation(
    config: Callable[..., Path], trained: Trained, topology: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = uuid.uuid4().hex[:8]
    path = config(
        tracing={"sample": 1.0},
        loop={"group": f"traced-{run}", "topology": topology},
        stages={"prefix": f"traced-{run}"},
        alignment={"max_idle": "100ms"},
        snapshots={"every_events": 10},
        explain={
            "group": f"explain-{run}",
            "samples": 256,
            "decisions": ["approve", "review", "decline"],
        },
    )
    settings = load_settings(path)
    topics = settings.topics
    ensure_all_topics(connect(settings.kafka), settings)
    file = open_events(trained.events, settings.event, settings.labels.field)
    producer, scorer, explainer = Process(), Process(), Process()
    send(settings, file, producer.tracer)
    registry = CollectorRegistry()
    with ExitStack() as stack:
        stack.enter_context(scored(settings, scorer.tracer, registry))
        stack.enter_context(explained(settings, explainer.tracer))
        answers = records(settings, topics.scores, COUNT + 3)
        explanations = records(settings, topics.explanations, COUNT + 3)

    produced, scores, whys = producer.ended(), scorer.ended(), explainer.ended()
    assert len(produced) == len(scores) == len(whys) == COUNT
    for name, spans, above in (("weir.score", scores, produced), ("weir.explain", whys, scores)):
        parents = [above[span.parent.span_id] for span in spans.values() if span.parent]
        assert len({parent.context.span_id for parent in parents}) == COUNT
        for span, parent in zip(spans.values(), parents, strict=True):
            assert span.name == name
            assert span.context.trace_id == parent.context.trace_id
            assert span.start_time <= span.end_time
            assert span.attributes is not None
            assert span.attributes["messaging.destination.name"] == topics.events
    assert len({span.context.trace_id for span in produced.values()}) == COUNT
    assert ids_said(answers) == ids_of(scores)
    assert ids_said(explanations) == ids_of(whys)
    for messages in (answers, explanations):
        headers = [message.headers() for message in messages]
        assert headers.count([(TRACEPARENT, UNSAMPLED)]) == 1
        assert headers.count(None) == 2
    assert scorer.counted == {"exported": COUNT, "failed": 0, "dropped": 0, "malformed": 1}
    # The SDK has code of its own that runs in a forked child.
    assert registry.get_sample_value("weir_snapshots_total", {"outcome": "written"})

    if topology == "fused":
        check_off(path, monkeypatch)


def check_off(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the section the same events are answered, and nobody looks at a header."""
    values = tomllib.loads(path.read_text(encoding="utf-8"))
    del values["tracing"]
    values["loop"]["group"] += "-off"
    for role in ("scores", "feature_log", "snapshots", "positions"):
        values["topics"][role] += "-off"
    off = path.with_name("off.toml")
    off.write_text(tomli_w.dumps(values), encoding="utf-8")
    settings = load_settings(off)
    ensure_all_topics(connect(settings.kafka), settings)

    def looked(message: Message) -> None:
        raise AssertionError("a header was read")

    monkeypatch.setattr(header_texts, "headers_of", looked)
    with scored(settings, None):
        answers = records(settings, settings.topics.scores, COUNT + 3)
    assert [message.headers() for message in answers] == [None] * (COUNT + 3)
    log = [
        each for batch in read_to_end(settings.kafka, settings.topics.feature_log) for each in batch
    ]
    assert log
    assert all(
        TRACEPARENT not in read_feature_log(each.value() or b"").column_names for each in log
    )


def test_without_the_section_nothing_of_it_is_imported() -> None:
    program = (
        "import sys\n"
        "from prometheus_client import CollectorRegistry\n"
        "import inference.serving.answerer, explain.workers.stream_explainer\n"
        "import streams.replay.replay\n"
        "from weir.services.tracing import opened_tracer\n"
        "with opened_tracer(None, CollectorRegistry()) as tracer:\n"
        "    assert tracer is None\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.returncode) == ("[]\n", 0), done.stderr
