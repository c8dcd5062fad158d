"""One candidate: the process that answers for it, started again where it fails."""

import json
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from enum import StrEnum
from time import monotonic

import numpy as np
from numpy.typing import NDArray

from inference.engine.protocol import Outputs
from inference.errors import InferenceError
from inference.packages.mlflow_connection import RegistryAwayError
from inference.packages.package import ModelPackage
from inference.policy.policy import Policy
from inference.shadow.settings import ShadowSettings
from streams.base.apart.resident import Resident, ResidentError
from streams.base.apart.starter import Bounds
from streams.base.bounded_calls import in_thread
from streams.base.closing import ClosedAtEnd

logger = logging.getLogger(__name__)

_CHILD = "inference.shadow.candidate_child"
_FOR_GOOD = 10**9
_NICER, _NICE_AT_FIRST, _NICEST = 4, 10, 19
"""Who answers leaves the processors to all others; who starts would hardly get ready so."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 300.0
_HEALTHY_S = 600.0
_AWAY_S = 10.0


class State(StrEnum):
    """How a candidate is."""

    STARTING = "starting"
    ANSWERING = "answering"
    PAUSED = "paused"
    REFUSED = "refused"


class CandidateError(InferenceError):
    """A candidate gave no answers to a batch; the message says why."""


@dataclass(frozen=True)
class OpenCandidate:
    """A package that was tried, and the policy that decides by its answers."""

    package: ModelPackage
    policy: Policy


class Candidate(ClosedAtEnd):
    """Answers vectors as a package would, in a process of its own, in `State.ANSWERING` only.

    One whose process crashes, takes too long or answers nonsense is paused, for longer and longer,
    and then started again. For one thread.

    Args:
        open_it: fetches the package and has it tried.
        names: of the columns of the matrices to come.
    """

    def __init__(
        self,
        name: str,
        open_it: Callable[[], OpenCandidate],
        names: Sequence[str],
        settings: ShadowSettings,
    ) -> None:
        self.name = name
        self.state = State.STARTING
        self.reason = ""
        self._open_it = open_it
        self._names = list(names)
        self._settings = settings
        self._niceness = min(settings.niceness + _NICER, _NICEST)
        self._opened: OpenCandidate | None = None
        self._resident: Resident | None = None
        self._rows = 0
        self._pause_s = _FIRST_PAUSE_S
        self._again_at = self._answering_since = 0.0
        self._ready_by = 0.0
        self._opening: Future[OpenCandidate] | None = in_thread(open_it)

    @property
    def opened(self) -> OpenCandidate:
        """What answers; from `State.ANSWERING` on."""
        assert self._opened is not None
        return self._opened

    def look(self) -> None:
        """Go on with a start, or begin the next one; by a thread that lives as long as we do."""
        if self.state is State.PAUSED and monotonic() >= self._again_at:
            self.state = State.STARTING
            self._opening = in_thread(self._open_it)
        if self.state is not State.STARTING:
            return
        try:
            if not self._is_up():
                return
        except RegistryAwayError as error:
            self._pause(str(error), _AWAY_S)
        except (ResidentError, OSError) as error:
            self._fail(f"its process can't start: {error}")
        except Exception as error:
            # Whatever a package that nobody promoted leads to: it is refused, and the others go on.
            self.close()
            self.state, self.reason = State.REFUSED, str(error) or type(error).__name__
            logger.error("candidate %s is refused: %s", self.name, self.reason)
        else:
            self.state, self.reason = State.ANSWERING, ""
            self._answering_since = monotonic()
            logger.info("candidate %s answers: model %s", self.name, self.opened.package.short_id)

    def ask(self, matrix: NDArray[np.float32]) -> Resident:
        """Begin to ask for the rows of a matrix (n, width); who answers, for `take`."""
        assert self._resident is not None
        self._rows = len(matrix)
        self._resident.ask(np.ascontiguousarray(matrix, np.float32).tobytes())
        return self._resident

    def take(self, said: bytes | Exception) -> Outputs:
        """Its answers to the rows that it was asked for.

        Raises:
            CandidateError: there are none; it is paused.
        """
        if isinstance(said, bytes) and len(said) != 3 * 4 * self._rows:
            said = ResidentError("it answers other rows than it was asked for")
        if isinstance(said, Exception):
            self._fail(str(said))
            raise CandidateError(str(said)) from said
        return Outputs(*np.frombuffer(said, np.float32).reshape(3, self._rows))

    def close(self) -> None:
        """End its process, if there is one; a start makes another."""
        resident, self._resident = self._resident, None
        if resident is not None:
            resident.close()

    def _is_up(self) -> bool:
        """Whether a start has come to its end: the package is opened, then the engine warm."""
        if self._opening is not None:
            if not self._opening.done():
                return False
            opening, self._opening = self._opening, None
            self._opened = opening.result()
            self._resident = self._start(self._opened.package)
        assert self._resident is not None
        if self._resident.answer_now() is not None:
            self._resident.stand_back(self._niceness)
            return True
        if monotonic() > self._ready_by:
            raise ResidentError("it was not ready within shadow.start_timeout")
        return False

    def _fail(self, reason: str) -> None:
        was_well = self.state is State.ANSWERING
        if was_well and monotonic() - self._answering_since > _HEALTHY_S:
            self._pause_s = _FIRST_PAUSE_S
        self._pause(reason, self._pause_s)
        self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)

    def _pause(self, reason: str, pause_s: float) -> None:
        self.close()
        self.state, self.reason = State.PAUSED, reason
        self._again_at = monotonic() + pause_s
        logger.warning(
            "candidate %s gives no answers: %s; starting it again in %.0f s",
            self.name,
            reason,
            pause_s,
        )

    def _start(self, package: ModelPackage) -> Resident:
        settings = self._settings
        task = {"package": str(package.folder.absolute()), "id": package.id, "names": self._names}
        bounds = Bounds(
            cpu_s=_FOR_GOOD,
            wall_s=_FOR_GOOD,
            memory_mb=settings.max_memory,
            file_mb=1,
            nice=self._niceness,
        )
        resident = Resident(
            "candidate",
            bounds,
            _CHILD,
            {"task.json": json.dumps(task).encode()},
            readable=[package.folder],
        )
        resident.stand_back(min(self._niceness, _NICE_AT_FIRST))
        self._ready_by = monotonic() + settings.start_timeout / 1_000
        resident.ask(b"")
        return resident
