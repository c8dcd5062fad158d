"""All that a shadow says of itself."""

from collections.abc import Mapping

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from inference.shadow.candidate import State
from inference.shadow.candidates import CandidateAnswers
from streams.loop.stateless.metrics import LoopMetrics

_SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)


class ShadowMetrics(LoopMetrics):
    """The shadow's metrics; each candidate by its name."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry, "Records not scored yet")
        self._scores = Counter(
            "weir_shadow_scores",
            "Events that a candidate was asked about, by what came of it: answered, not_a_number, "
            "error",
            ["candidate", "outcome"],
            registry=registry,
        )
        self._seconds = Histogram(
            "weir_shadow_answer_seconds",
            "Time until a candidate had answered a batch",
            ["candidate"],
            unit="seconds",
            buckets=_SECONDS,
            registry=registry,
        )
        self.shed = Counter(
            "weir_shadow_shed_events",
            "Events that no candidate was asked about: the shadow lags (shadow.max_lag), or is "
            "busy (shadow.max_busy)",
            registry=registry,
        )
        self._answering = Gauge(
            "weir_shadow_candidate_answering",
            "1 where a candidate answers, 0 where it starts, is paused or refused",
            ["candidate"],
            registry=registry,
        )

    def count(self, answers: Mapping[str, CandidateAnswers], rows: int) -> None:
        """Note what each candidate said of a batch of rows."""
        for name, said in answers.items():
            self._seconds.labels(name).observe(said.took_s)
            if isinstance(said.outputs, str):
                self._scores.labels(name, "error").inc(rows)
                continue
            nothing = int(np.isnan(np.stack(said.outputs)).any(axis=0).sum())
            self._scores.labels(name, "answered").inc(rows - nothing)
            self._scores.labels(name, "not_a_number").inc(nothing)

    def show(self, states: Mapping[str, State]) -> None:
        """Show how the candidates are; those that have left are shown no more."""
        self._answering.clear()
        for name, state in states.items():
            self._answering.labels(name).set(state is State.ANSWERING)
