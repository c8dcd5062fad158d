"""Lets each event be answered by the arm of its key, and by the champion where that one can't."""

from collections.abc import Sequence
from concurrent.futures import Future
from time import monotonic, perf_counter, time

import numpy as np
from numpy.typing import NDArray

from inference.engine.protocol import Outputs
from inference.routing.arm import FAILURES, Arm, Failure, without_number
from inference.routing.assignment import Assignment
from inference.routing.deadline import Deadlines
from inference.routing.latency_spans import LatencySpan
from inference.routing.served_model import ServedModel
from inference.routing.verdicts import Routes, Verdicts
from streams.feature_log import CHAMPION_ARM

_PATIENCE_S = 0.05
_TIMES_THE_CHAMPION = 2.0
"""An arm may take the longer one of the two: on a busy machine all are slow."""


class Router:
    """What answers: the champion, and the arms beside it. For one thread at a time.

    Args:
        deadlines: which events there is time to ask a model about.

    Attributes:
        routes: the arms, as verdicts name them.
    """

    def __init__(self, champion: ServedModel, deadlines: Deadlines) -> None:
        self.champion = champion
        self._deadlines = deadlines
        self._experiment = ""
        self._arms: Sequence[tuple[str, Arm | None]] = ()
        self._span = LatencySpan()
        self._set([], Assignment("", []))

    def promote(self, champion: ServedModel) -> None:
        """Let another model, or another policy, be the champion's."""
        self.champion = champion
        self._set(self._shares, self._assignment)

    def route(
        self, experiment: str, arms: Sequence[tuple[str, Arm | None]], shares: Sequence[float]
    ) -> None:
        """Let these arms answer for their shares of the keys; none: the champion answers all.

        Args:
            arms: by name; None for one that is not ready, for which the champion stands in.
        """
        self._experiment = experiment
        self._arms = tuple(arms)
        self._span = LatencySpan()
        for _, arm in self._arms:
            if arm is not None:
                arm.take_times()  # they are of another span
        self._set(shares, Assignment(experiment, shares))

    def decide(
        self, keys: Sequence[int | str], arrived: NDArray[np.int64], features: NDArray[np.float32]
    ) -> Verdicts:
        """Ask models and policies, or the policy alone where there is no time for both.

        Args:
            keys: of the events, n.
            arrived: when each was stamped, UTC milliseconds, (n,).
            features: float32 (n, width).
        """
        champion, policy, count = self.champion, self.champion.policy, len(features)
        missed = np.zeros(count, bool)
        if policy.deadline is not None:
            missed = self._deadlines.missed(
                arrived, policy.deadline, time() * 1e3, champion.latency
            )
        none = np.zeros(count, np.int8)
        if not self._arms and not missed.any():
            outputs = champion.infer(features)
            return Verdicts(outputs, policy.decide(outputs), missed, self.routes, none, none, none)
        said = Verdicts(
            Outputs(*(np.full(count, np.nan, np.float32) for _ in Outputs._fields)),
            np.full(count, policy.fallback, np.int8),
            missed,
            self.routes,
            arm=self._assignment.arms(keys) if self._arms else none,
            by=none,
            failure=none.copy(),
        )
        self._ask(said, ~missed, arrived, features)
        return said

    def _ask(
        self,
        said: Verdicts,
        asked: NDArray[np.bool_],
        arrived: NDArray[np.int64],
        features: NDArray[np.float32],
    ) -> None:
        questions: list[tuple[int, Arm, NDArray[np.intp], Future[Outputs]]] = []
        for place, (_, arm) in enumerate(self._arms, 1):
            rows = np.flatnonzero(asked & (said.arm == place))
            if not rows.size:
                continue
            if arm is None:
                _note(said, rows, "absent")
                continue
            question = arm.ask(features[rows])
            if isinstance(question, Future):
                questions.append((place, arm, rows, question))
            else:
                _note(said, rows, question)
        start = perf_counter()
        own = np.flatnonzero(asked & ((said.arm == 0) | (said.failure > 0)))
        self._by_champion(said, own, features)
        champion_s = perf_counter() - start
        if not questions:
            return
        self._span.observe(own.size, champion_s)
        patience = max(_PATIENCE_S, _TIMES_THE_CHAMPION * champion_s)
        waiting = sum(rows.size for _, _, rows, _ in questions)
        until = self._no_longer(monotonic() + patience, arrived[asked], waiting)
        left: list[NDArray[np.intp]] = []
        for place, arm, rows, question in questions:
            answer = arm.answer(question, rows.size, until)
            if isinstance(answer, str):
                _note(said, rows, answer)
                left.append(rows)
                continue
            broken = without_number(answer)
            if broken.any():
                _note(said, rows[broken], "nan")
                left.append(rows[broken])
                rows, answer = rows[~broken], Outputs(*(column[~broken] for column in answer))
            _fill(said, rows, answer, self.routes.served[place])
            said.by[rows] = place
        if left:
            self._by_champion(said, np.sort(np.concatenate(left)), features)
        self._span.end_if_long([arm for _, arm in self._arms if arm is not None])

    def _no_longer(self, until: float, arrived: NDArray[np.int64], waiting: int) -> float:
        """When the champion has to be asked for all that wait for arms, to be in time.

        Args:
            arrived: of all events of the batch that are asked about: they are answered together.
        """
        deadline = self.champion.policy.deadline
        now_ms = time() * 1e3
        live = arrived >= now_ms - self._deadlines.live_within_ms
        if deadline is None or not live.any():
            return until
        needed_s = self.champion.latency.predict(waiting)
        needed_s += self._deadlines.rest.predict(arrived.size)
        left_s = (float(arrived[live].min()) + deadline - now_ms) / 1e3 - needed_s
        return min(until, monotonic() + left_s)

    def _by_champion(
        self, said: Verdicts, rows: NDArray[np.intp], features: NDArray[np.float32]
    ) -> None:
        if rows.size:
            whole = rows.size == len(features)
            answer = self.champion.infer(features if whole else features[rows])
            _fill(said, rows, answer, self.champion)

    def _set(self, shares: Sequence[float], assignment: Assignment) -> None:
        self._shares, self._assignment = shares, assignment
        champion = self.champion
        self.routes = Routes(
            self._experiment,
            (CHAMPION_ARM, *(name for name, _ in self._arms)),
            np.array([max(0.0, 1.0 - sum(shares)), *shares], np.float32),
            (champion, *(champion if arm is None else arm.serving for _, arm in self._arms)),
        )


def _fill(said: Verdicts, rows: NDArray[np.intp], answer: Outputs, serving: ServedModel) -> None:
    for whole, part in zip(said.outputs, answer, strict=True):
        whole[rows] = part
    said.decisions[rows] = serving.policy.decide(answer)


def _note(said: Verdicts, rows: NDArray[np.intp], why: Failure) -> None:
    said.failure[rows] = FAILURES.index(why) + 1
