"""Answers: from events and their features to scores, the feature log and dead letters."""

from functools import partial
from itertools import repeat
from time import perf_counter, time

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from inference.engine import Engine, Outputs
from inference.metrics import ScorerMetrics
from inference.policy import DECISIONS, Policy
from streams.contract import EventContract
from streams.feature_log import FeatureLogWriter, ScoredEvents
from streams.features.feature_rows import FeatureRows
from streams.features.plan import FeaturePlan
from streams.letter_writer import dead_letters_of
from streams.task import Answers
from streams.topics import TopicSettings
from streams.transactor import Committed, Outgoing
from streams.work import Work

FEATURE_LOG_BYTES = 900_000
"""As for dead letters, below what a topic takes that others have made."""

_ARROW_TYPES = {"int": pa.int64(), "string": pa.string()}


class Timings(msgspec.Struct, gc=False):
    """When and how fast a batch of events was answered."""

    scored: int
    batch: int
    decode_us: int
    features_us: int
    inference_us: int


class Score(msgspec.Struct, gc=False):
    """One record of ``weir.scores``; times are UTC milliseconds.

    ``arrived`` is the event's Kafka timestamp; ``late`` and ``approximate`` say that its windows
    may not be whole, see `streams.features.FeatureRows`.
    """

    event_id: int | str
    key: int | str
    event_time: int
    score: float
    probability: float
    anomaly: float
    decision: str
    model: str
    policy: str
    feature_schema: str
    arrived: int
    timings: Timings
    late: bool = False
    approximate: bool = False


class Answerer:
    """Puts events with their features before model and policy, and writes down what these say.

    Args:
        engine: answers feature vectors in the order of `plan.names`.
        model: id of its package.
    """

    def __init__(
        self,
        contract: EventContract,
        plan: FeaturePlan,
        engine: Engine,
        model: str,
        policy: Policy,
        topics: TopicSettings,
        metrics: ScorerMetrics,
    ) -> None:
        self._width = len(plan.names)
        self._engine = engine
        self._model = model
        self._policy = policy
        self._schema = plan.schema_hash
        self._topics = topics
        self._metrics = metrics
        self._encode = msgspec.json.Encoder().encode
        self._feature_log = FeatureLogWriter(
            plan.names,
            _ARROW_TYPES[contract.fields[contract.id].type],
            _ARROW_TYPES[contract.fields[contract.key].type],
            DECISIONS,
            {"model": model, "policy": policy.version, "feature_schema": plan.schema_hash,
             "events_topic": topics.events},
        )  # fmt: skip
        metrics.model.labels(model, policy.version, plan.schema_hash).set(1)

    def warm_up(self) -> None:
        """Make ready what is slow the first time."""
        self._engine.warm_up()

    def check(self) -> None:
        """Answer the feature vector of nothing.

        Raises:
            Exception: no event can be answered any more, whatever it holds.
        """
        self._engine.infer(np.zeros((1, self._width), np.float32))

    def answer(self, work: Work, rows: FeatureRows, features_s: float) -> Answers:
        """Answer a batch: scores in order, one feature log record per partition, dead letters.

        Args:
            rows: the features of the n events.
            features_s: seconds that it took to compute them.
        """
        start = perf_counter()
        features = rows.matrix.astype(np.float32)
        outputs = self._engine.infer(features)
        decisions = self._policy.decide(outputs)
        inferred = perf_counter()
        stages = {
            "decode": work.decode_s,
            "features": features_s,
            "inference": inferred - start,
        }
        outgoing = [
            self._scores(work, rows, outputs, decisions, stages),
            self._log_features(work, rows, features, outputs, decisions),
        ]
        if work.bad:
            now_ms = round(time() * 1_000)
            outgoing.append(dead_letters_of(self._topics.dead_letters, work.bad, now_ms))
        stages["encode"] = perf_counter() - inferred
        counts = np.bincount(decisions, minlength=len(DECISIONS)).tolist()
        flagged = (int(rows.late.sum()), int(rows.approximate.sum()))
        return Answers(outgoing, partial(self._count, work, counts, flagged, stages))

    def _count(
        self,
        work: Work,
        decided: list[int],
        flagged: tuple[int, int],
        stages: dict[str, float],
        committed: Committed,
    ) -> None:
        """Count what is now visible to consumers."""
        metrics = self._metrics
        metrics.events.inc(len(work.events))
        metrics.labels.inc(len(work.labels))
        metrics.late.inc(flagged[0])
        metrics.approximate.inc(flagged[1])
        for name, count in zip(DECISIONS, decided, strict=True):
            metrics.decisions.labels(name).inc(count)
        metrics.count_rejected(bad.rejected for bad in work.bad)
        stages |= {"produce": committed.produce_s, "commit": committed.commit_s}
        for stage, seconds in stages.items():
            metrics.stage.observe(stage, seconds)
        metrics.batch.observe("events", float(len(work.events)))
        metrics.batch.observe("labels", float(len(work.labels)))
        metrics.latency.observe("end_to_end", np.maximum(time() - work.arrived / 1e3, 0.0))

    def _scores(
        self,
        work: Work,
        rows: FeatureRows,
        outputs: Outputs,
        decisions: NDArray[np.int8],
        stages: dict[str, float],
    ) -> Outgoing:
        timings = Timings(
            scored=round(time() * 1_000),
            batch=len(work.events),
            **{f"{stage}_us": round(seconds * 1e6) for stage, seconds in stages.items()},
        )
        # Column by column with C loops only: this is the most frequent code of all.
        records = map(
            Score,
            work.events.ids,
            work.events.keys,
            work.events.times.tolist(),
            *(column.tolist() for column in outputs),
            map(DECISIONS.__getitem__, decisions.tolist()),
            repeat(self._model),
            repeat(self._policy.version),
            repeat(self._schema),
            work.arrived.tolist(),
            repeat(timings),
            rows.late.tolist(),
            rows.approximate.tolist(),
        )
        return Outgoing(
            topic=self._topics.scores,
            values=list(map(self._encode, records)),
            keys=list(map(str.encode, map(str, work.events.keys))),
            partitions=work.partitions.tolist(),
        )

    def _log_features(
        self,
        work: Work,
        flags: FeatureRows,
        features: NDArray[np.float32],
        outputs: Outputs,
        decisions: NDArray[np.int8],
    ) -> Outgoing:
        at_once = max(1, FEATURE_LOG_BYTES // (features.itemsize * features.shape[1] + 128))
        values, partitions = [], []
        for partition in np.unique(work.partitions).tolist():
            all_rows = np.flatnonzero(work.partitions == partition)
            for first in range(0, all_rows.size, at_once):
                rows = all_rows[first : first + at_once]
                part = work.events.take(rows)
                scored = ScoredEvents(
                    ids=part.ids,
                    keys=part.keys,
                    times=part.times,
                    offsets=work.offsets[rows],
                    features=features[rows],
                    score=outputs.score[rows],
                    probability=outputs.probability[rows],
                    anomaly=outputs.anomaly[rows],
                    decision=decisions[rows],
                    late=flags.late[rows],
                    approximate=flags.approximate[rows],
                )
                values.append(self._feature_log.encode(scored))
                partitions.append(partition)
        return Outgoing(self._topics.feature_log, values, [None] * len(values), partitions)
