"""A model's stream, as records of a feature log, and the monitor's stages without a Kafka."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from unittest.mock import Mock

import numpy as np
import pyarrow as pa
from cohort_world import TERMS
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry

from inference.packages.drift_reference import DriftReference, fit_histogram
from inference.packages.hours import in_time
from monitoring.counting.counting_task import CountingTask
from monitoring.counting.model_bins import ModelBins
from monitoring.counting.stream_counter import StreamCounter
from monitoring.counting.unread_watch import UnreadWatch
from monitoring.drift.drift_task import DriftTask
from monitoring.drift.metrics import DriftMetrics
from monitoring.episodes.episode import DECODE_EPISODE, Episode
from monitoring.losses.loss_watch import LossWatch
from monitoring.performance.watch import WatchTerms
from monitoring.settings import MonitorSettings
from streams.events.contract import FieldType
from streams.feature_log import Arm, FeatureLogWriter, ScoredEvents
from streams.loop.stateless.keyed_state import KeyedState

MODEL, NAMES = "abc123", ("amount", "hour", "count")
OTHER = "def456"
"""Another model, with the same reference."""
STEP_MS = 6_000
"""Ten events a minute and partition."""
WATCH = WatchTerms(baseline_frauds=100, baseline_days=5)
T0 = 1_700_000_040_000
"""A whole minute."""


@dataclass
class Record:
    """A message of Kafka's, as far as stages look at it."""

    data: bytes
    at: int = 0
    logged: int = T0

    def value(self) -> bytes:
        return self.data

    def partition(self) -> int:
        return self.at

    def timestamp(self) -> tuple[int, int]:
        return 1, self.logged


def rows(rng: np.random.Generator, count: int) -> NDArray[np.float32]:
    """Vectors of a quiet stream."""
    columns = [rng.lognormal(3, 1, count), rng.integers(0, 24, count), rng.poisson(2, count)]
    return np.column_stack(columns).astype(np.float32)


def score_of(features: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(1 / (1 + np.exp(3 - np.log1p(features[:, 0]) / 3)), np.float32)


def reference(seed: int = 1) -> DriftReference:
    """Of 20,000 rows."""
    values = rows(np.random.default_rng(seed), 20_000)
    times = T0 + np.arange(len(values)) * STEP_MS

    def frozen(column: NDArray[np.float32]):
        return in_time(fit_histogram(column, 20), column, times, "UTC")

    return DriftReference(
        features={name: frozen(values[:, place]) for place, name in enumerate(NAMES)},
        outputs={"probability": frozen(score_of(values))},
    )


BINS = ModelBins(NAMES, reference(), rows(np.random.default_rng(2), 500))


def records(
    features: NDArray[np.float32],
    *,
    first: int = T0,
    partition: int = 0,
    size: int = 25,
    model: str = MODEL,
    countries: Sequence[str | None] | None = None,
    keys: Sequence[str] = ("k",),
) -> list[Record]:
    """A partition of the feature log, one event each `STEP_MS`; keys take turns."""
    include: dict[str, FieldType] = {} if countries is None else {"country": "string"}
    writer = FeatureLogWriter(
        NAMES,
        pa.int64(),
        pa.string(),
        ["approve", "review"],
        {},
        arms=[Arm("champion", model)],
        include=include,
    )
    found = []
    for start in range(0, len(features), size):
        part = features[start : start + size]
        count, score = len(part), score_of(part)
        places = np.arange(start, start + count)
        events = ScoredEvents(
            ids=places.tolist(),
            keys=[keys[place % len(keys)] for place in places.tolist()],
            times=first + places * STEP_MS,
            offsets=places,
            features=part,
            score=score,
            probability=score,
            anomaly=score,
            decision=(score > 0.3).astype(np.int8),
            late=np.zeros(count, bool),
            approximate=np.zeros(count, bool),
            fallback=np.zeros(count, bool),
            arm=np.zeros(count, np.int8),
            share=np.ones(count, np.float32),
            propensity=np.ones(count, np.float32),
            context={} if countries is None else {"country": countries[start : start + size]},
        )
        found.append(Record(writer.encode(events), partition, int(events.times[-1])))
    return found


BOUND = 40.0


def counting(
    bins: Callable[[str], ModelBins | None] | None = None, segments: Sequence[str] = ()
) -> CountingTask:
    """The first stage."""
    return CountingTask(
        bins or (lambda model: BINS if model == MODEL else None),
        topic="counts",
        interval=60_000,
        producer="",
        segments=segments,
        uncounted=lambda count: None,
        unread=UnreadWatch(dict, dict, 0),
        also=Mock(settle=Mock(return_value=([], lambda: None))),
        stream=StreamCounter(60_000, NAMES[:1], {"amount": (BOUND,)}, lambda partition: 0),
    )


def counted(messages: Sequence[Record], batch: int = 3) -> list[Record]:
    """What the first stage makes of records, batch by batch."""
    task = counting()
    found: list[Record] = []
    for start in range(0, len(messages), batch):
        (outgoing,) = task(messages[start : start + batch]).outgoing  # type: ignore[arg-type]
        found += [Record(value) for value in outgoing.values if value is not None]
    return found


class Drift:
    """The second stage, which may be killed after any batch."""

    def __init__(self) -> None:
        self.state = KeyedState(kafka=Mock(), topic="state", source="counts")
        self.state.load(("counts", 0), {})
        self.registry = CollectorRegistry()
        self.settings = MonitorSettings()
        self.said: list[Episode] = []
        self.letters = 0
        self.holding: set[int] = set()
        self.start()

    def start(self) -> None:
        """Start anew, with what was committed."""
        kept = dict(self.state.of(0).items())
        self.state.load(("counts", 0), kept)
        self.registry = CollectorRegistry()
        self.task = DriftTask(
            self.state,
            lambda model: BINS if model in (MODEL, OTHER) else None,
            self.settings,
            topic="drift",
            losses=lambda known: LossWatch(known, TERMS, WATCH),
            partitions=lambda: self.holding,
            told=lambda episode: None,
            metrics=DriftMetrics(self.registry),
        )

    def take(self, messages: Sequence[Record], *, commit: bool = True) -> None:
        """A transaction, which is committed, or taken back."""
        done = self.task(messages)  # type: ignore[arg-type]
        if not commit:
            self.state.rollback()
            return
        (outgoing,) = done.outgoing
        self.state.commit()
        self.said += [DECODE_EPISODE(value or b"") for value in outgoing.values]
        self.letters += len(done.rejected)
        done.when_visible()

    def take_and_be_killed(
        self, records: Sequence[Record], *, seed: int, most: int, chance: float
    ) -> None:
        """Up to `most` - 1 at once; by chance they are taken back, and by chance it starts anew."""
        rng, place = np.random.default_rng(seed), 0
        while place < len(records):
            part = records[place : place + int(rng.integers(1, most))]
            commit = rng.random() >= chance
            self.take(part, commit=commit)
            place += len(part) if commit else 0
            if rng.random() < chance:
                self.start()

    def alarms(self) -> float:
        """What the metric says."""
        (family,) = [each for each in self.registry.collect() if each.name == "weir_drift_alarms"]
        return sum(each.value for each in family.samples if each.name.endswith("_total"))
