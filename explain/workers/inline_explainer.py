"""Explains inside the scorer: reasons go with the score, as long as there is time for them."""

import logging
from collections.abc import Callable, Sequence
from threading import Lock
from time import monotonic, perf_counter
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry

from explain.errors import ExplainError
from explain.lime.settings import ExplainSettings
from explain.record.parts import DecisionPart
from explain.workers.metrics import explain_seconds
from explain.writing.flagged import FlaggedEvents
from explain.writing.part_builders import thresholds_part
from explain.writing.record_writer import RecordWriter
from inference.errors import InferenceError
from inference.packages.package import ModelPackage
from inference.policy.policy import DECISIONS
from inference.routing.served_model import ServedModel
from inference.serving.explanation_seam import ScoredBatch, ScoreExplanation
from streams.base.counted import counter_by
from streams.kafka.message import Header
from streams.transactions.outcome import Outgoing

logger = logging.getLogger(__name__)

_KEPT = 6
"""Models beside the latest: those of all arms, and who rolls back finds the one before ready."""


class _Reasons(msgspec.Struct):
    """What a score carries of a record."""

    id: str
    explanation: "_Confident"
    reasons: msgspec.Raw


class _Confident(msgspec.Struct):
    confident: bool


class BudgetedExplainer:
    """The seam's `InlineExplainer`; its records are those of `weir explainer`, to the byte.

    The budget is one batch's. What did not fit is ``pending``, and `weir explainer`, which reads
    the same events from the feature log, makes up for it. What can't be explained is answered all
    the same.

    Args:
        topic: of the explanations.
        events_topic: of the events.
        names: columns of the features that the scorer computes.
        writer_of: from a package and its version in the registry to what explains its answers.
    """

    def __init__(
        self,
        settings: ExplainSettings,
        *,
        topic: str,
        events_topic: str,
        names: Sequence[str],
        writer_of: Callable[[ModelPackage, int], RecordWriter],
        registry: CollectorRegistry,
    ) -> None:
        self._settings = settings
        self._topic = topic
        self._events_topic = events_topic
        self._names = tuple(names)
        self._writer_of = writer_of
        self._writers: dict[str, RecordWriter] = {}
        self._used: dict[str, float] = {}
        self._preparing = Lock()
        self._codes = [DECISIONS.index(decision) for decision in settings.decisions]
        self._complained: set[str] = set()
        self._read = msgspec.json.Decoder(_Reasons).decode
        self._count = counter_by(
            "outcome",
            ("attached", "pending", "failed"),
            "weir_inline_explanations",
            "Flagged events by what their score says of the reasons",
            registry,
        )
        self._seconds = explain_seconds(registry)

    def prepare(self, package: ModelPackage, number: int) -> None:
        """See `InlineExplainer`: no event waits for kernels, and nobody for the registry."""
        model = package.short_id
        writer = self._writers.get(model)
        if writer is None:
            try:
                writer = self._writer_of(package, number)
                writer.warm_up()
            except (ExplainError, InferenceError) as error:
                self._complain(model, error)
                return
        with self._preparing:  # a champion and an arm may become ready at once
            self._used[model] = monotonic()
            others = [each for each in self._writers.items() if each[0] != model]
            # Arms come and go beside a champion that stays: which one answered last counts.
            others.sort(key=lambda each: self._used.get(each[0], 0.0))
            # Replaced as a whole: the loop reads it meanwhile.
            self._writers = dict([*others[-_KEPT:], (model, writer)])

    def explain(self, answered: ScoredBatch) -> tuple[dict[int, ScoreExplanation], list[Outgoing]]:
        """See `InlineExplainer`; ``failed`` where `prepare` could make nothing of a model."""
        verdicts = answered.verdicts
        flagged = np.isin(verdicts.decisions, self._codes) & ~verdicts.fallback
        if not flagged.any():
            return {}, []
        deadline = perf_counter() + self._settings.budget / 1e3
        attached: dict[int, ScoreExplanation] = {}
        written: list[Outgoing] = []
        for place, serving, rows in verdicts.answered_by():
            if place:  # a model that is only tried: no event waits for its reasons
                attached |= self._all(rows[flagged[rows]], "pending")
                continue
            found, out = self._of_model(serving, answered, rows[flagged[rows]], deadline)
            attached |= found
            written += out
        return attached, written

    def _of_model(
        self,
        serving: ServedModel,
        answered: ScoredBatch,
        flagged: NDArray[np.intp],
        deadline: float,
    ) -> tuple[dict[int, ScoreExplanation], list[Outgoing]]:
        if not flagged.size:
            return {}, []
        writer = self._writers.get(serving.model)
        self._used[serving.model] = monotonic()
        if writer is None:
            return self._all(flagged, "failed"), []
        attached: dict[int, ScoreExplanation] = {}
        written: list[tuple[str | None, bytes]] = []
        partitions: list[int] = []
        headers: list[list[Header] | None] = []
        for i in flagged.tolist():
            start = perf_counter()
            if start >= deadline:
                break
            try:
                ((key, data),) = writer.write(self._event(serving, answered, i))
            except (ExplainError, InferenceError) as error:
                self._complain(serving.model, error)
                attached[i] = ScoreExplanation("failed")
                continue
            self._seconds.observe(perf_counter() - start)
            found = self._read(data)
            attached[i] = ScoreExplanation(
                "attached", found.id, found.explanation.confident, found.reasons
            )
            written.append((key, data))
            partitions.append(int(answered.work.partitions[i]))
            headers.append(None if answered.spans is None else answered.spans.headers[i])
        self._count.labels("attached").inc(len(written))
        self._count.labels("failed").inc(len(attached) - len(written))
        late = flagged[len(attached) :]
        if late.size:
            attached |= self._all(late, "pending")
        keys = [None if key is None else key.encode() for key, _ in written]
        out = Outgoing(self._topic, [data for _, data in written], keys, partitions, headers)
        return attached, [out] if written else []

    def _complain(self, model: str, error: Exception) -> None:
        """Once for each model: the metric tells how many events it is about."""
        if model not in self._complained:
            self._complained.add(model)
            logger.error(
                "can't explain the answers of model %s, sending their scores without reasons "
                "(said once): %s",
                model,
                error,
            )

    def _all(
        self, flagged: NDArray[np.intp], status: Literal["pending", "failed"]
    ) -> dict[int, ScoreExplanation]:
        self._count.labels(status).inc(len(flagged))
        return dict.fromkeys(flagged.tolist(), ScoreExplanation(status))

    def _event(self, serving: ServedModel, answered: ScoredBatch, i: int) -> FlaggedEvents:
        work, outputs = answered.work, answered.verdicts.outputs
        row = slice(i, i + 1)
        info, policy = serving.engine.info, serving.policy
        return FlaggedEvents(
            topic=self._events_topic,
            partition=int(work.partitions[i]),
            model=serving.model,
            backend=info.backend,
            precision=info.precision,
            names=self._names,
            ids=[work.events.ids[i]],
            keys=[work.events.keys[i]],
            times=work.events.times[row],
            offsets=work.offsets[row],
            features=answered.features[row],
            score=outputs.score[row],
            probability=outputs.probability[row],
            anomaly=outputs.anomaly[row],
            decisions=[
                DecisionPart(
                    outcome=DECISIONS[answered.verdicts.decisions[i]],
                    policy=policy.version,
                    fallback=None,
                    thresholds=thresholds_part(
                        policy.review, policy.decline, policy.anomaly_review
                    ),
                )
            ],
        )
