"""The candidates that are tried now: they come and go while the others answer."""

import logging
from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from time import monotonic
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from inference.control.commands import ModelVersion
from inference.engine.protocol import Outputs
from inference.shadow.candidate import Candidate, CandidateError, OpenCandidate, State
from inference.shadow.settings import ShadowSettings
from streams.base.apart.resident import answers
from streams.base.closing import ClosedAtEnd

logger = logging.getLogger(__name__)


class CandidateAnswers(NamedTuple):
    """What one candidate says of n rows.

    Attributes:
        outputs: its answers, or in words why there are none.
        took_s: until they were there, in seconds.
    """

    opened: OpenCandidate
    outputs: Outputs | str
    took_s: float


class Candidates(ClosedAtEnd):
    """All candidates. Any thread may have it follow, and another one ask.

    Args:
        open_it: fetches a version, and has it tried.
        names: of the columns of the matrices to come.
    """

    def __init__(
        self,
        open_it: Callable[[ModelVersion], OpenCandidate],
        names: Sequence[str],
        settings: ShadowSettings,
    ) -> None:
        self._open_it = open_it
        self._names = names
        self._settings = settings
        self._lock = Lock()
        self._all: dict[str, tuple[ModelVersion, Candidate]] = {}
        self._left_out: set[str] = set()

    def close(self) -> None:
        """End all their processes."""
        self.follow({})

    def follow(self, wanted: Mapping[str, ModelVersion]) -> None:
        """Begin those that are wanted and not there, end those that are not wanted, look at all."""
        most = self._settings.max_candidates
        names = sorted(wanted)[:most]
        if (out := set(wanted) - set(names)) != self._left_out:
            self._left_out = out
            if out:
                logger.error(
                    "candidates %s are left out: there are more than shadow.max_candidates = %d",
                    ", ".join(sorted(out)),
                    most,
                )
        with self._lock:
            for name, (version, candidate) in list(self._all.items()):
                if name not in names or wanted[name] != version:
                    logger.info("candidate %s (%s) leaves", name, version)
                    candidate.close()
                    del self._all[name]
            for name in names:
                if name not in self._all:
                    self._all[name] = wanted[name], self._new(name, wanted[name])
            for _, candidate in self._all.values():
                candidate.look()

    def states(self) -> dict[str, tuple[ModelVersion, State, str]]:
        """Of each: which model, how it is, and why."""
        with self._lock:
            return {
                name: (version, candidate.state, candidate.reason)
                for name, (version, candidate) in self._all.items()
            }

    def infer(self, matrix: NDArray[np.float32]) -> dict[str, CandidateAnswers]:
        """What those that are answering say of the rows of a matrix (n, width), all at once."""
        with self._lock:
            ready = [each for _, each in self._all.values() if each.state is State.ANSWERING]
            start = monotonic()
            asked = [candidate.ask(matrix) for candidate in ready]
            heard = answers(asked, start + self._settings.timeout / 1_000)
            said = {}
            for candidate, answer in zip(ready, heard, strict=True):
                outputs: Outputs | str
                try:
                    outputs = candidate.take(answer.said)
                except CandidateError as error:
                    outputs = str(error)
                took_s = answer.at - start
                said[candidate.name] = CandidateAnswers(candidate.opened, outputs, took_s)
            return said

    def _new(self, name: str, version: ModelVersion) -> Candidate:
        logger.info("candidate %s (%s) comes", name, version)
        return Candidate(name, lambda: self._open_it(version), self._names, self._settings)
