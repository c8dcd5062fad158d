"""The scorer: one transaction's events in, their scores, feature log and dead letters out."""

from collections.abc import Callable, Iterable, Iterator
from time import perf_counter, time
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from inference.engine import Engine, Outputs
from inference.metrics import ScorerMetrics
from inference.policy import DECISIONS, Policy
from streams.contract import EventContract
from streams.dead_letters import dead_letter
from streams.feature_log import FeatureLogWriter, ScoredEvents
from streams.features.plan import FeaturePlan
from streams.features.state import FeatureState, WindowSettings
from streams.intake import Outgoing, Work
from streams.topics import TopicSettings

MAX_MESSAGE_BYTES = 16_777_216 - 4_096
_ARROW_TYPES = {"int": pa.int64(), "string": pa.string()}


class Timings(msgspec.Struct, gc=False):
    """When and how fast an event was answered; the stages are those of its whole batch."""

    arrived: int
    scored: int
    batch: int
    decode_us: int
    features_us: int
    inference_us: int


class Score(msgspec.Struct, gc=False):
    """One record of ``weir.scores``; times are UTC milliseconds."""

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
    timings: Timings


class Scorer:
    """A `streams.exactly_once.Task`: feature windows, model and policy for one stream.

    Args:
        engine: answers feature vectors in the order of `plan.names`.
        model: id of its package.
    """

    def __init__(
        self,
        contract: EventContract,
        plan: FeaturePlan,
        windows: WindowSettings,
        engine: Engine,
        model: str,
        policy: Policy,
        topics: TopicSettings,
        metrics: ScorerMetrics,
    ) -> None:
        self._contract = contract
        self._new_state: Callable[[], FeatureState] = lambda: FeatureState(plan, windows)
        self._state = self._new_state()
        self._engine = engine
        self._model = model
        self._policy = policy
        self._schema = plan.schema_hash
        self._topics = topics
        self._metrics = metrics
        self._decided = [0] * len(DECISIONS)
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

    def reset(self) -> None:
        """Forget all windows."""
        self._state = self._new_state()

    def restore(self, work: Work) -> None:
        """Take answered events into the windows."""
        self._state.update(work.events, work.labels)
        self._metrics.restored.inc(len(work.events))

    def process(self, work: Work) -> Iterator[Outgoing]:
        """Answer a batch: scores in order, one feature log record per partition, dead letters."""
        start = perf_counter()
        features = self._state.update(work.events, work.labels).astype(np.float32)
        featured = perf_counter()
        outputs = self._engine.infer(features)
        decisions = self._policy.decide(outputs)
        inferred = perf_counter()
        self._metrics.stage.observe("decode", work.decode_s)
        self._metrics.stage.observe("features", featured - start)
        self._metrics.stage.observe("inference", inferred - featured)
        self._decided = np.bincount(decisions, minlength=len(DECISIONS)).tolist()
        stages = (work.decode_s, featured - start, inferred - featured)
        yield from self._scores(work, outputs, decisions, stages)
        yield from self._log_features(work, features, outputs, decisions)
        yield from self._dead_letters(work)
        self._metrics.stage.observe("produce", perf_counter() - inferred)

    def committed(self, work: Work, process_s: float, commit_s: float) -> None:
        """Count what is now visible to consumers."""
        metrics = self._metrics
        metrics.events.inc(len(work.events))
        metrics.labels.inc(len(work.labels))
        for name, count in zip(DECISIONS, self._decided, strict=True):
            metrics.decisions.labels(name).inc(count)
        for bad in work.bad:
            metrics.dead_letters.labels(bad.rejected.reason.value).inc()
        metrics.transactions.labels("committed").inc()
        metrics.stage.observe("commit", commit_s)
        metrics.batch.observe("events", float(len(work.events)))
        metrics.batch.observe("labels", float(len(work.labels)))
        metrics.latency.observe("end_to_end", np.maximum(time() - work.arrived / 1e3, 0.0))
        metrics.state_bytes.set(self._state.nbytes)
        for entity, count in self._state.entities.items():
            metrics.entities.labels(entity).set(count)
        for entity, count in self._state.dropped_events.items():
            metrics.forgotten.labels(entity).set(count)

    def _scores(
        self, work: Work, outputs: Outputs, decisions: NDArray[np.int8],
        stages: tuple[float, float, float],
    ) -> Iterator[Outgoing]:  # fmt: skip
        topic, encode = self._topics.scores, self._encode
        model, policy, schema = self._model, self._policy.version, self._schema
        scored, batch = round(time() * 1_000), len(work.events)
        decode_us, features_us, inference_us = (round(stage * 1e6) for stage in stages)
        columns: Iterable[tuple[Any, ...]] = zip(
            work.events.ids,
            work.events.keys,
            work.events.times.tolist(),
            *(column.tolist() for column in outputs),
            decisions.tolist(),
            work.partitions.tolist(),
            work.arrived.tolist(),
            strict=True,
        )
        for event, key, at, score, probability, anomaly, decision, partition, arrived in columns:
            timings = Timings(arrived, scored, batch, decode_us, features_us, inference_us)
            record = Score(event, key, at, score, probability, anomaly, DECISIONS[decision],
                           model, policy, schema, timings)  # fmt: skip
            yield Outgoing(topic, encode(record), str(key).encode(), partition)

    def _log_features(
        self, work: Work, features: NDArray[np.float32], outputs: Outputs,
        decisions: NDArray[np.int8],
    ) -> Iterator[Outgoing]:  # fmt: skip
        for partition in np.unique(work.partitions).tolist():
            rows = np.flatnonzero(work.partitions == partition)
            part = work.events.take(rows)
            yield Outgoing(
                self._topics.feature_log,
                self._feature_log.encode(
                    ScoredEvents(
                        ids=part.ids,
                        keys=part.keys,
                        times=part.times,
                        offsets=work.offsets[rows],
                        features=features[rows],
                        score=outputs.score[rows],
                        probability=outputs.probability[rows],
                        anomaly=outputs.anomaly[rows],
                        decision=decisions[rows],
                    )
                ),
                partition=partition,
            )

    def _dead_letters(self, work: Work) -> Iterator[Outgoing]:
        now = round(time() * 1_000)
        for bad in work.bad:
            letter = dead_letter(bad.message, bad.rejected, now, MAX_MESSAGE_BYTES)
            yield Outgoing(
                self._topics.dead_letters, letter.value, letter.key, headers=letter.headers
            )
