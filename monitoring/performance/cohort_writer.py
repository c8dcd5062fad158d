"""Writes cohorts to the store beside the stream, which never waits for a database."""

import logging
import math
from collections.abc import Callable, Iterable
from threading import Event, Lock

from monitoring.performance.cohorts.cohort import CohortKey
from monitoring.performance.errors import PerformanceStoreError
from monitoring.performance.store import CohortPart, PerformanceStore
from streams.base.bounded_calls import comes_back, in_thread

logger = logging.getLogger(__name__)

_PAUSE_S = 2.0
_LONGEST_PAUSE_S = 60.0


class CohortWriter:
    """Holds what is to be written: the newest of each part. All of it can be told again.

    Args:
        open_store: opens the store; asked anew for each transaction.
    """

    def __init__(self, open_store: Callable[[], PerformanceStore]) -> None:
        self._open = open_store
        self._lock = Lock()
        self._waiting: dict[tuple[CohortKey, str], CohortPart] = {}

    def put(self, parts: Iterable[CohortPart]) -> None:
        """Write these some time; any thread."""
        with self._lock:
            self._waiting |= {(part.key, part.part): part for part in parts}

    @property
    def waiting(self) -> int:
        """Parts that are not written yet; any thread."""
        with self._lock:
            return len(self._waiting)

    def run(self, stop: Event) -> None:
        """Write until `stop` is set; what is left then is told again after the next start.

        A database that does not answer, or can't be used, is tried again, with growing pauses.
        """
        pause, complaint = _PAUSE_S, ""
        while not stop.wait(pause):
            with self._lock:
                parts = dict(self._waiting)
            if not parts:
                continue
            writing = in_thread(self._write, list(parts.values()))
            if not comes_back(writing, math.inf, stop):
                return
            error = writing.exception()
            if error is None:
                self._written(parts)
                if complaint:
                    logger.info("the performance store is written to again")
                pause, complaint = _PAUSE_S, ""
                continue
            if not isinstance(error, PerformanceStoreError):
                raise error
            pause = min(2 * pause, _LONGEST_PAUSE_S)
            if str(error) != complaint:
                complaint = str(error)
                logger.warning("cohorts wait, and are written later: %s", complaint)

    def _written(self, parts: dict[tuple[CohortKey, str], CohortPart]) -> None:
        with self._lock:
            for place, part in parts.items():
                if self._waiting[place] is part:  # else a newer one has come meanwhile
                    del self._waiting[place]

    def _write(self, parts: list[CohortPart]) -> None:
        with self._open() as store:
            store.write(parts)
