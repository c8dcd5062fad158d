"""Answers: from events and their features to scores, the feature log and dead letters."""

from collections.abc import Callable, Sequence
from functools import partial
from threading import Lock
from time import perf_counter, time
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pyarrow as pa

from inference.approve_through.approve_through import ApproveThrough
from inference.approve_through.spending import NOTE
from inference.policy.policy import DECISIONS
from inference.routing.arm import Arm
from inference.routing.deadline import Deadlines
from inference.routing.router import Router
from inference.routing.served_model import ServedModel
from inference.routing.verdicts import Routes, Verdicts
from inference.serving.explanation_seam import InlineExplainer, ScoredBatch, ScoreExplanation
from inference.serving.feature_log_records import feature_log_records
from inference.serving.metrics import ScorerMetrics
from inference.serving.score_records import DEADLINE, score_records
from inference.serving.score_spans import score_spans
from streams.base.clock import now_ms
from streams.base.safe_text import safe_text
from streams.dead_letters.writer import dead_letters_of
from streams.events.contract import EventContract
from streams.events.record_headers import type_of
from streams.feature_log import Arm as LoggedArm
from streams.feature_log import FeatureLogWriter
from streams.features.feature_rows import FeatureRows
from streams.features.plan import FeaturePlan
from streams.intake.input_batch import InputBatch
from streams.kafka.topics.weir_topics import TopicSettings
from streams.loop.fused.task import Answers
from streams.transactions.outcome import Committed, Outgoing

if TYPE_CHECKING:
    from streams.tracing.tracer import Tracer

_ARROW_TYPES = {"int": pa.int64(), "string": pa.string()}


class Answerer:
    """Puts events with their features before model and policy, and writes down what these say.

    Args:
        serving: the model and policy that answer first, warm; its engine's vectors are in the order
            of `plan.names`.
        live_within_ms: see `inference.routing.deadline.Deadlines`.
        explains: attaches reasons to scores; None where that is done apart, or not at all.
        include: fields of the events, and headers of their records, that go along in the feature
            log.
        arm_patience_ms: see `inference.routing.router.Router`.
        approve_through: approves some would-be declines; None for none.
        tracer: makes a span of each event whose trace is sampled; None for none.
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
        arm_patience_ms: int = 100,
        approve_through: ApproveThrough | None = None,
        tracer: "Tracer | None" = None,
    ) -> None:
        self._include = {name: type_of(contract, name) for name in include}
        self._contract = contract
        self._plan = plan
        self._topics = topics
        self._metrics = metrics
        self._deadlines = Deadlines(live_within_ms)
        self._router = Router(serving, self._deadlines, arm_patience_ms)
        self._explains = explains
        self._approve_through = approve_through
        self._tracer = tracer
        self._encode = msgspec.json.Encoder().encode
        self._lock = Lock()
        self._take_up()

    @property
    def serving(self) -> ServedModel:
        """The champion, and its policy."""
        return self._router.champion

    def swap(self, serving: ServedModel) -> None:
        """Let another model or policy answer from the next batch on; any thread may call.

        On return nothing uses what served before, so that its engine can be closed.
        """
        with self._lock:
            before = self._router.champion
            self._metrics.model.remove(*self._name_of(before))
            self._metrics.engine.remove(*_engine_of(before))
            self._router.promote(serving)
            self._take_up()

    def route(
        self, experiment: str, arms: Sequence[tuple[str, Arm | None]], shares: Sequence[float]
    ) -> None:
        """Let arms answer beside the champion from the next batch on; see `Router.route`.

        On return nothing uses arms that are not among these. Any thread may call.
        """
        with self._lock:
            self._router.route(experiment, arms, shares)
            self._take_up()

    def forget(self, partition: int | None = None) -> None:
        """Note that a partition of events, or all, may have been another's meanwhile.

        Any thread may call.
        """
        if self._approve_through is not None:
            with self._lock:
                self._approve_through.forget(partition)

    def check(self) -> None:
        """Answer the feature vector of nothing.

        Raises:
            Exception: no event can be answered any more, whatever it holds.
        """
        with self._lock:
            self._router.champion.engine.infer(np.zeros((1, len(self._plan.names)), np.float32))

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
        verdicts = self._router.decide(work.events.keys, work.arrived, features)
        inferred = perf_counter()
        notes: dict[int, dict[str, str]] = {}
        counts: Callable[[], None] = _nothing
        if self._approve_through is not None:
            decided = self._approve_through.decide(work, verdicts)
            verdicts, counts = decided.verdicts, decided.count
            notes = {partition: {NOTE: note} for partition, note in decided.notes.items()}
        stages = {"decode": work.decode_s, "features": features_s, "inference": inferred - start}
        spans = None
        if self._tracer is not None:
            spans = score_spans(self._tracer, self._topics.events, work, verdicts)
        answered = ScoredBatch(work, features, verdicts, spans)
        attached: dict[int, ScoreExplanation] = {}
        explained: list[Outgoing] = []
        if self._explains is not None:
            attached, explained = self._explains.explain(answered)
        outgoing = [
            score_records(
                self._topics.scores,
                self._encode,
                work,
                rows,
                verdicts,
                feature_schema=self._plan.schema_hash,
                stages=stages,
                attached=attached,
                headers=None if spans is None else spans.headers,
            )
        ]
        for place, _, answered_rows in verdicts.answered_by():
            asked = int((~verdicts.fallback[answered_rows]).sum())
            if asked:
                self._metrics.inference_rows.observe("rows", float(asked))
            outgoing.append(
                feature_log_records(
                    self._topics.feature_log,
                    self._feature_log[place],
                    answered,
                    rows,
                    self._include,
                    answered_rows,
                    notes,
                )
            )
        outgoing += explained
        if work.bad:
            outgoing.append(dead_letters_of(self._topics.dead_letters, work.bad, now_ms()))
        stages["encode"] = perf_counter() - inferred
        self._metrics.queue.observe("events", np.maximum(queued_ms / 1e3, 0.0))
        flags = (rows.late, rows.approximate, verdicts.fallback)
        flagged = tuple(int(flag.sum()) for flag in flags)
        told = [counts] if spans is None else [counts, spans.end]
        return Answers(outgoing, partial(self._count, work, verdicts, flagged, stages, told))

    def _take_up(self) -> None:
        champion, routes = self._router.champion, self._router.routes
        self._feature_log = [self._writer(serving, routes) for serving in routes.served]
        self._metrics.model.labels(*self._name_of(champion)).set(1)
        self._metrics.engine.labels(*_engine_of(champion)).set(1)
        self._metrics.arms.show(routes)

    def _writer(self, serving: ServedModel, routes: Routes) -> FeatureLogWriter:
        """What writes down answers of one model, whichever arm's keys they are about."""
        contract, plan = self._contract, self._plan
        return FeatureLogWriter(
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
                **({"experiment": routes.experiment} if routes.experiment else {}),
            },
            arms=[LoggedArm(name, serving.model) for name in routes.names],
            include=self._include,
            approve_through=self._approve_through is not None,
            traced=self._tracer is not None,
        )

    def _name_of(self, serving: ServedModel) -> tuple[str, str, str]:
        return serving.model, safe_text(serving.policy.version), self._plan.schema_hash

    def _count(
        self,
        work: InputBatch,
        verdicts: Verdicts,
        flagged: tuple[int, ...],
        stages: dict[str, float],
        told: Sequence[Callable[[], None]],
        committed: Committed,
    ) -> None:
        """Count what is now visible to consumers."""
        for tell in told:
            tell()
        metrics = self._metrics
        metrics.count_records(len(work.events), len(work.labels))
        metrics.duplicates.inc(work.repeats)
        flag_counters = (metrics.late, metrics.approximate, metrics.fallbacks.labels(DEADLINE))
        for counter, flag_count in zip(flag_counters, flagged, strict=True):
            counter.inc(flag_count)
        decided = np.bincount(verdicts.decisions, minlength=len(DECISIONS))
        for name, count in zip(DECISIONS, decided.tolist(), strict=True):
            metrics.decisions.labels(name).inc(count)
        metrics.arms.count(verdicts)
        metrics.count_rejected(bad.rejected for bad in work.bad)
        transaction_s = committed.waited_s + committed.produce_s + committed.commit_s
        self._deadlines.rest.observe(len(work.events), stages["encode"] + transaction_s)
        for stage, seconds in stages.items():
            metrics.stage.observe(stage, seconds)
        metrics.latency.observe("end_to_end", np.maximum(time() - work.arrived / 1e3, 0.0))


def _nothing() -> None:
    """There is nothing more to count."""


def _engine_of(serving: ServedModel) -> tuple[str, str, str, str]:
    info = serving.engine.info
    return info.backend, info.device, info.precision, info.routes[-1] if info.routes else ""
