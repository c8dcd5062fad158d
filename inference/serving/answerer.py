"""Answers: from events and their features to scores, the feature log and dead letters."""

from collections.abc import Iterable, Sequence
from functools import partial
from itertools import repeat
from threading import Lock
from time import perf_counter, time
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from inference.engine.protocol import Outputs
from inference.policy.policy import DECISIONS
from inference.serving.deadline import Deadlines
from inference.serving.explanation_seam import InlineExplainer, ScoredBatch, ScoreExplanation
from inference.serving.feature_log_records import feature_log_records
from inference.serving.metrics import ScorerMetrics
from inference.serving.score_record import Score, Timings
from inference.serving.served_model import ServedModel
from streams.base.clock import now_ms
from streams.base.safe_text import safe_text
from streams.dead_letters.writer import dead_letters_of
from streams.events.contract import EventContract
from streams.feature_log import CHAMPION_ARM, Arm, FeatureLogWriter
from streams.features.feature_rows import FeatureRows
from streams.features.plan import FeaturePlan
from streams.intake.input_batch import InputBatch
from streams.kafka.topics.weir_topics import TopicSettings
from streams.loop.fused.task import Answers
from streams.transactions.outcome import Committed, Outgoing

_DEADLINE = "deadline"

_ARROW_TYPES = {"int": pa.int64(), "string": pa.string()}


class _Verdicts(NamedTuple):
    """What is said of n events.

    Attributes:
        outputs: ``NaN`` where the policy's fallback answered.
        decisions: codes, shape (n,).
        fallback: the fallback answered, shape (n,).
    """

    outputs: Outputs
    decisions: NDArray[np.int8]
    fallback: NDArray[np.bool_]


class Answerer:
    """Puts events with their features before model and policy, and writes down what these say.

    Args:
        serving: the model and policy that answer first, warm; its engine's vectors are in the order
            of `plan.names`.
        live_within_ms: see `inference.serving.deadline.Deadlines`.
        explains: attaches reasons to scores; None where that is done apart, or not at all.
        include: fields of the events that go along in the feature log.
    """

    def __init__(
        self,
        contract: EventContract,
        plan: FeaturePlan,
        *,
        serving: ServedModel,
        topics: TopicSettings,
        metrics: ScorerMetrics,
        live_within_ms: int = 60_000,
        explains: InlineExplainer | None = None,
        include: Sequence[str] = (),
    ) -> None:
        self._include = {name: contract.fields[name].type for name in include}
        self._contract = contract
        self._plan = plan
        self._topics = topics
        self._metrics = metrics
        self._deadlines = Deadlines(live_within_ms)
        self._explains = explains
        self._encode = msgspec.json.Encoder().encode
        self._lock = Lock()
        self._take_up(serving)

    @property
    def serving(self) -> ServedModel:
        """What answers now."""
        return self._serving

    def swap(self, serving: ServedModel) -> None:
        """Let another model or policy answer from the next batch on; any thread may call.

        On return nothing uses what served before, so that its engine can be closed.
        """
        with self._lock:
            before = self._serving
            self._metrics.model.remove(*self._name_of(before))
            self._metrics.engine.remove(*_engine_of(before))
            self._take_up(serving)

    def check(self) -> None:
        """Answer the feature vector of nothing.

        Raises:
            Exception: no event can be answered any more, whatever it holds.
        """
        with self._lock:
            self._serving.engine.infer(np.zeros((1, len(self._plan.names)), np.float32))

    def answer(self, work: InputBatch, rows: FeatureRows, features_s: float) -> Answers:
        """Answer a batch: scores in order, one feature log record per partition, dead letters.

        Args:
            rows: the features of the n events.
            features_s: seconds that it took to compute them.
        """
        with self._lock:
            return self._answer(work, rows, features_s)

    def _answer(self, work: InputBatch, rows: FeatureRows, features_s: float) -> Answers:
        start = perf_counter()
        queued_ms = time() * 1e3 - work.arrived
        features = rows.matrix.astype(np.float32)
        verdicts = self._decide(work, features)
        inferred = perf_counter()
        stages = {"decode": work.decode_s, "features": features_s, "inference": inferred - start}
        answered = ScoredBatch(work, features, *verdicts)
        attached: dict[int, ScoreExplanation] = {}
        explained: list[Outgoing] = []
        if self._explains is not None:
            attached, explained = self._explains.explain(self._serving, answered)
        outgoing = [
            self._scores(work, rows, verdicts, stages, attached),
            feature_log_records(
                self._topics.feature_log, self._feature_log, answered, rows, self._include
            ),
            *explained,
        ]
        if work.bad:
            outgoing.append(dead_letters_of(self._topics.dead_letters, work.bad, now_ms()))
        stages["encode"] = perf_counter() - inferred
        self._metrics.queue.observe("events", np.maximum(queued_ms / 1e3, 0.0))
        flags = (rows.late, rows.approximate, verdicts.fallback)
        counts = np.bincount(verdicts.decisions, minlength=len(DECISIONS)).tolist()
        flagged = tuple(int(flag.sum()) for flag in flags)
        return Answers(outgoing, partial(self._count, work, counts, flagged, stages))

    def _take_up(self, serving: ServedModel) -> None:
        contract, plan = self._contract, self._plan
        self._serving = serving
        self._feature_log = FeatureLogWriter(
            plan.names,
            _ARROW_TYPES[contract.fields[contract.id].type],
            _ARROW_TYPES[contract.fields[contract.key].type],
            DECISIONS,
            {
                "model": serving.model,
                "policy": serving.policy.version,
                "review": repr(float(serving.policy.review)),
                "decline": repr(float(serving.policy.decline)),
                "anomaly_review": repr(float(serving.policy.anomaly_review)),
                "backend": serving.engine.info.backend,
                "precision": serving.engine.info.precision,
                "feature_schema": plan.schema_hash,
                "events_topic": self._topics.events,
            },
            arms=[Arm(CHAMPION_ARM, serving.model)],
            include=self._include,
        )
        self._metrics.model.labels(*self._name_of(serving)).set(1)
        self._metrics.engine.labels(*_engine_of(serving)).set(1)

    def _name_of(self, serving: ServedModel) -> tuple[str, str, str]:
        return serving.model, safe_text(serving.policy.version), self._plan.schema_hash

    def _decide(self, work: InputBatch, features: NDArray[np.float32]) -> _Verdicts:
        """Ask the model and the policy, or the policy alone where there is no time for both."""
        policy, count = self._serving.policy, len(features)
        missed = np.zeros(count, bool)
        if policy.deadline is not None:
            missed = self._deadlines.missed(
                work.arrived, policy.deadline, time() * 1e3, self._serving.latency
            )
        if not missed.any():
            outputs = self._infer(features)
            return _Verdicts(outputs, policy.decide(outputs), missed)
        asked = ~missed
        outputs = Outputs(*(np.full(count, np.nan, np.float32) for _ in Outputs._fields))
        decisions = np.full(count, policy.fallback, np.int8)
        if asked.any():
            answered = self._infer(features[asked])
            for whole, part in zip(outputs, answered, strict=True):
                whole[asked] = part
            decisions[asked] = policy.decide(answered)
        return _Verdicts(outputs, decisions, missed)

    def _infer(self, features: NDArray[np.float32]) -> Outputs:
        if len(features):
            self._metrics.inference_rows.observe("rows", float(len(features)))
        return self._serving.infer(features)

    def _count(
        self,
        work: InputBatch,
        decided: list[int],
        flagged: tuple[int, ...],
        stages: dict[str, float],
        committed: Committed,
    ) -> None:
        """Count what is now visible to consumers."""
        metrics = self._metrics
        metrics.count_records(len(work.events), len(work.labels))
        metrics.duplicates.inc(work.repeats)
        flag_counters = (metrics.late, metrics.approximate, metrics.fallbacks.labels(_DEADLINE))
        for counter, flag_count in zip(flag_counters, flagged, strict=True):
            counter.inc(flag_count)
        for name, count in zip(DECISIONS, decided, strict=True):
            metrics.decisions.labels(name).inc(count)
        metrics.count_rejected(bad.rejected for bad in work.bad)
        transaction_s = committed.waited_s + committed.produce_s + committed.commit_s
        self._deadlines.rest.observe(len(work.events), stages["encode"] + transaction_s)
        for stage, seconds in stages.items():
            metrics.stage.observe(stage, seconds)
        metrics.latency.observe("end_to_end", np.maximum(time() - work.arrived / 1e3, 0.0))

    def _scores(
        self,
        work: InputBatch,
        rows: FeatureRows,
        verdicts: _Verdicts,
        stages: dict[str, float],
        attached: dict[int, ScoreExplanation],
    ) -> Outgoing:
        timings = Timings(
            scored=now_ms(),
            batch=len(work.events),
            **{f"{stage}_us": round(seconds * 1e6) for stage, seconds in stages.items()},
        )
        seldom: list[Iterable[Any]] = []
        if verdicts.fallback.any() or attached:
            seldom = [map((msgspec.UNSET, _DEADLINE).__getitem__, verdicts.fallback.tolist())]
        if attached:
            seldom.append(attached.get(i, msgspec.UNSET) for i in range(len(work.events)))
        # Column by column with C loops only: this is the most frequent code of all.
        records = map(
            Score,
            work.events.ids,
            work.events.keys,
            work.events.times.tolist(),
            *(column.tolist() for column in verdicts.outputs),
            map(DECISIONS.__getitem__, verdicts.decisions.tolist()),
            repeat(self._serving.model),
            repeat(self._serving.policy.version),
            repeat(self._plan.schema_hash),
            work.arrived.tolist(),
            repeat(timings),
            rows.late.tolist(),
            rows.approximate.tolist(),
            *seldom,
        )
        return Outgoing(
            topic=self._topics.scores,
            values=list(map(self._encode, records)),
            keys=list(map(str.encode, map(str, work.events.keys))),
            partitions=work.partitions.tolist(),
        )


def _engine_of(serving: ServedModel) -> tuple[str, str, str, str]:
    info = serving.engine.info
    return info.backend, info.device, info.precision, info.routes[-1] if info.routes else ""
