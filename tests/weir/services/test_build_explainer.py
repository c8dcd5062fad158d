"""What the explainer does while the registry is away, and of models that are gone."""

import os
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread
from time import monotonic, sleep
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from front_door import Trained
from prometheus_client import CollectorRegistry

from explain.record.parts import LimeExplainerPart
from explain.record.record import read
from explain.writing.key_ring import KeyRing, KeyRingError
from explain.writing.reproduce import reproduce
from inference.packages.mlflow_connection import RegistryAwayError
from inference.packages.package import ModelPackage
from inference.packages.registry import RegisteredModel, Registry
from inference.policy.policy import DECISIONS
from streams.base.bounded_calls import StoppedError
from streams.dead_letters.letter import read_dead_letter
from streams.feature_log import CHAMPION_ARM, Arm, FeatureLogWriter, ScoredEvents
from streams.kafka.records.consuming import read_to_end
from weir.config.settings import Settings, load_settings
from weir.reasons import open_catalogue
from weir.services.build_explainer import build_explainer
from weir.services.wiring import open_registry

COUNT = 3


class Fickle(Registry):
    """A registry that is away when some of its questions are asked."""

    def __init__(self, settings: Settings, away: str) -> None:
        super().__init__(settings.registry, settings.data_dir)
        self.away = away
        self.asked_in_vain = 0

    def find(self, package_id: str) -> RegisteredModel | None:
        self._answer("find")
        return super().find(package_id)

    def fetch(self, model: RegisteredModel) -> ModelPackage:
        self._answer("fetch")
        return super().fetch(model)

    def _answer(self, question: str) -> None:
        if self.away == question:
            self.asked_in_vain += 1
            raise RegistryAwayError("nobody answers")


class Running:
    """An explainer in a thread."""

    def __init__(self, settings: Settings, registry: Registry) -> None:
        self.stop = Event()
        self._process = build_explainer(
            settings, settings.kafka, registry, CollectorRegistry(), self.stop
        )
        self.stopped: StoppedError | None = None
        self._error: BaseException | None = None
        self._thread = Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            assert self._process.run(self.stop) == "the last transaction is committed"
        except StoppedError as stopped:
            self.stopped = stopped
        except BaseException as error:
            self._error = error

    def waits_for(self) -> list[str]:
        """Why it is not ready."""
        return self._process.waits_for()

    def fails(self) -> BaseException | None:
        """What it ends with by itself."""
        self._thread.join(60)
        assert not self._thread.is_alive()
        return self._error

    def end_after(self, condition: Callable[[], bool]) -> BaseException | None:
        """Stop it then; returns what it says to have left open."""
        deadline = monotonic() + 60
        try:
            while not condition():
                assert self._thread.is_alive(), self._error
                assert monotonic() < deadline, "waited in vain"
                sleep(0.05)
        finally:
            self.stop.set()
            self._thread.join(60)
        assert self._error is None or isinstance(self._error, StoppedError)
        return self._error


def feature_log(model: str, package: ModelPackage) -> bytes:
    """Some rows of a package's background, as if a model had sent them to review."""
    context = {
        "model": model,
        "policy": "1",
        "events_topic": "e",
        "review": "0.5",
        "decline": "inf",
        "anomaly_review": "inf",
    }
    names = package.features.names
    writer = FeatureLogWriter(
        names,
        pa.int64(),
        pa.int64(),
        DECISIONS,
        context,
        arms=[Arm(CHAMPION_ARM, context["model"])],
    )
    some, none = np.full(COUNT, 0.75, np.float32), np.zeros(COUNT, np.bool_)
    return writer.encode(
        ScoredEvents(
            ids=range(COUNT),
            keys=range(COUNT),
            times=np.arange(COUNT),
            offsets=np.arange(COUNT),
            features=package.background[:COUNT],
            score=some,
            probability=some,
            anomaly=some,
            decision=np.ones(COUNT, np.int8),
            late=none,
            approximate=none,
            fallback=none,
            arm=np.zeros(COUNT, np.int8),
            share=np.ones(COUNT, np.float32),
            propensity=np.ones(COUNT, np.float32),
        )
    )


def of_its_own(
    config: Callable[..., Path], make_topics: Callable[..., list[str]], **explain: Any
) -> Settings:
    """Settings of an explainer whose topics and group nobody else has."""
    log, explanations, letters = make_topics("log", "explanations", "letters")
    (positions,) = make_topics("positions", config={"cleanup.policy": "compact"})
    group = f"explainer-{os.urandom(4).hex()}"
    return load_settings(
        config(
            topics={
                "feature_log": log,
                "explanations": explanations,
                "dead_letters": letters,
                "positions": positions,
            },
            explain={"group": group, "samples": 256, **explain},
        )
    )


def log_flagged(settings: Settings, package: ModelPackage, models: list[str]) -> None:
    """Send a record of flagged events for each model."""
    producer = Producer(settings.kafka.producer_config())
    for model in models:
        producer.produce(settings.topics.feature_log, feature_log(model, package))
    assert producer.flush(30) == 0


def values(settings: Settings, topic: str) -> list[Any]:
    return [message for batch in read_to_end(settings.kafka, topic) for message in batch]


def committed(settings: Settings) -> int:
    consumer = Consumer(settings.kafka.consumer_config(group_id=settings.explain.group))
    try:
        place = TopicPartition(settings.topics.feature_log, 0)
        return int(consumer.committed([place], timeout=30)[0].offset)
    finally:
        consumer.close()


@pytest.mark.parametrize("question", ["find", "fetch"])
def test_while_the_registry_is_away_nothing_is_rejected_and_a_gone_model_is(
    question: str,
    config: Callable[..., Path],
    trained: Trained,
    make_topics: Callable[..., list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("weir.services.registry_waiting._AGAIN_S", 0.05)
    settings = of_its_own(config, make_topics)
    explanations, letters = settings.topics.explanations, settings.topics.dead_letters
    registry = Fickle(settings, away="")
    package = registry.resolve("champion")
    log_flagged(settings, package, [package.short_id, "0" * 12])

    registry.away = question
    running = Running(settings, registry)
    running.end_after(
        lambda: (
            registry.asked_in_vain > 2
            and running.waits_for() == [f"fetching model {package.short_id} from the registry"]
        )
    )
    assert str(running.stopped) == f"stopped while waiting for model {package.short_id}"
    assert committed(settings) < 0
    assert values(settings, explanations) + values(settings, letters) == []

    registry.away = ""
    running = Running(settings, registry)
    running.end_after(lambda: values(settings, letters) != [] and running.waits_for() == [])
    assert running.stopped is None
    assert committed(settings) >= 2
    assert len({read(m.value()).id for m in values(settings, explanations)}) == COUNT
    (letter,) = [read_dead_letter(message) for message in values(settings, letters)]
    assert letter.reason == "failed"
    assert "model 000000000000 is not in the registry: was it deleted?" in letter.detail


def test_a_disk_that_is_full_rejects_nothing(
    config: Callable[..., Path],
    trained: Trained,
    make_topics: Callable[..., list[str]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    ring = KeyRing.make(tmp_path / "keys").path
    settings = of_its_own(config, make_topics, key_ring=str(ring))
    explanations, letters = settings.topics.explanations, settings.topics.dead_letters
    registry = Fickle(settings, away="")
    package = registry.resolve("champion")
    log_flagged(settings, package, [package.short_id])

    with monkeypatch.context() as full:
        full.setattr(os, "pwrite", lambda *_: 0)
        error = Running(settings, registry).fails()
    assert isinstance(error, KeyRingError)
    assert str(error) == f"{ring}: can't be written: No space left on device"
    assert committed(settings) < 0
    assert values(settings, explanations) + values(settings, letters) == []

    Running(settings, registry).end_after(lambda: committed(settings) > 0)
    assert len({read(m.value()).id for m in values(settings, explanations)}) == COUNT
    assert values(settings, letters) == []


def test_the_published_method_explains_where_it_is_asked_for(
    config: Callable[..., Path], trained: Trained, make_topics: Callable[..., list[str]]
) -> None:
    settings = of_its_own(config, make_topics, method="lime", lime={"num_samples": 500})
    registry = open_registry(settings)
    package = registry.resolve("champion")
    log_flagged(settings, package, [package.short_id])
    Running(settings, registry).end_after(lambda: committed(settings) > 0)
    records = [message.value() for message in values(settings, settings.topics.explanations)]
    assert len(records) == COUNT
    assert values(settings, settings.topics.dead_letters) == []
    catalogue = open_catalogue(settings.reasons)
    for data in records:
        record = read(data)
        assert isinstance(record.explainer, LimeExplainerPart)
        assert record.explainer.samples == 500
        again = reproduce(data, package, record.model.version, catalogue)
        differing = {each.key.partition(".")[0] for each in again.differences}
        assert differing <= {"answers", "decision"}  # made up in `feature_log`
