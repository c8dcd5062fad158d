"""An arm: a model that answers for its share of the keys, in a thread that nobody has to wait for.

Whatever it does, errors, hangs, ``NaN``, events are answered: by the champion, where this one gives
no answer in time. One that fails again and again is asked no more.
"""

import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from queue import SimpleQueue
from threading import Thread
from time import monotonic, perf_counter
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from inference.engine.protocol import EngineError, Outputs
from inference.routing.served_model import ServedModel
from streams.base.bounded_calls import FOREVER

logger = logging.getLogger(__name__)

Failure = Literal["late", "error", "nan", "stopped", "absent"]
FAILURES: tuple[Failure, ...] = ("late", "error", "nan", "stopped", "absent")
"""Why an arm gave no answer: not in time; an error; no number; it was stopped; not ready yet."""

MOST_IN_A_ROW = 5
"""Batches without an answer in time after which an arm is asked no more."""
_HANGS_S = 5.0
_MOST_TIMES = 10_000
_LOOKS_NO_LONGER_S = 0.001


@dataclass
class ArmCounts:
    """What became of the batches and events that an arm was asked about.

    Attributes:
        batches, events: that it was asked about.
        late, error, nan: events that it gave no answer to, by why.
        timed, slow: batches that could be put beside the champion's, and those that took longer:
            see `inference.routing.latency_spans`.
    """

    batches: int = 0
    events: int = 0
    late: int = 0
    error: int = 0
    nan: int = 0
    timed: int = 0
    slow: int = 0

    def as_dict(self) -> dict[str, int]:
        """For a report."""
        return asdict(self)


class Arm:
    """Asks one model beside the champion.

    Args:
        name: such as ``canary``.
        serving: the model and its policy, warm.
        interrupt: ends what the engine is asked, as far as that can be.

    Attributes:
        stopped: why it is asked no more; empty while it is.
        counts: since it was opened.
    """

    def __init__(self, name: str, serving: ServedModel, interrupt: Callable[[], None]) -> None:
        self.name = name
        self.serving = serving
        self.stopped = ""
        self.counts = ArmCounts()
        self._times: deque[tuple[int, float]] = deque(maxlen=_MOST_TIMES)
        self._interrupt = interrupt
        self._questions: SimpleQueue[tuple[NDArray[np.float32], Future[Outputs]] | None] = (
            SimpleQueue()
        )
        self._asked: Future[Outputs] | None = None
        self._asked_at = 0.0
        self._in_a_row = 0
        Thread(target=self._answer, name=f"{FOREVER}arm {name}", daemon=True).start()

    def ask(self, features: NDArray[np.float32]) -> "Future[Outputs] | Failure":
        """Ask about rows (n, width), or say at once why there will be no answer."""
        if self.stopped:
            return "stopped"
        self.counts.batches += 1
        self.counts.events += len(features)
        if self._asked is not None and not self._asked.done():
            if monotonic() - self._asked_at > _HANGS_S:
                self.stop(f"it has not answered a batch for {_HANGS_S:.0f} s")
            self.counts.late += len(features)
            return "late"
        self._asked, self._asked_at = Future(), monotonic()
        self._questions.put((features, self._asked))
        return self._asked

    def answer(self, asked: "Future[Outputs]", rows: int, until: float) -> Outputs | Failure:
        """The answer to what was asked, or why there is none.

        Args:
            until: when nobody waits any longer, by `time.monotonic`.
        """
        try:
            outputs = asked.result(max(until - monotonic(), _LOOKS_NO_LONGER_S))
        except TimeoutError:
            if not asked.done():
                self._failed("late", rows)
                return "late"
            self._erred(rows, "TimeoutError")
            return "error"
        except Exception as error:
            self._erred(rows, f"{type(error).__name__}: {error}")
            return "error"
        broken = int(without_number(outputs).sum())
        if broken:
            self._failed("nan", broken)
        else:
            self._in_a_row = 0
        return outputs

    def take_times(self) -> list[tuple[int, float]]:
        """Events and seconds of its batches since this was last asked, of the latest at least."""
        times, self._times = self._times, deque(maxlen=_MOST_TIMES)
        return list(times)

    def stop(self, why: str) -> None:
        """Ask it no more, and end what it was asked."""
        if not self.stopped:
            self.stopped = why
            self._interrupt()
            logger.error(
                "stopped arm %s (model %s): %s; the champion answers for its keys",
                self.name,
                self.serving.model,
                why,
            )

    def close(self) -> None:
        """Let its thread end, once it is done with what it was asked; the engine is not closed."""
        self._questions.put(None)

    def _erred(self, rows: int, what: str) -> None:
        self._failed("error", rows)
        self.stop(f"its engine failed: {what}")

    def _failed(self, why: Literal["late", "error", "nan"], rows: int) -> None:
        setattr(self.counts, why, getattr(self.counts, why) + rows)
        self._in_a_row += 1
        if self._in_a_row >= MOST_IN_A_ROW and why != "error":
            words = {"late": "gave no answer in time", "nan": "answered with no number"}
            self.stop(f"it {words[why]}, the last of {MOST_IN_A_ROW} failed batches in a row")

    def _answer(self) -> None:
        while (question := self._questions.get()) is not None:
            features, future = question
            start = perf_counter()
            try:
                outputs = self.serving.infer(features)
                _check(outputs, len(features))
            except Exception as error:
                future.set_exception(error)
            except BaseException as error:  # what ends a process is none of an arm's business
                future.set_exception(EngineError(f"{type(error).__name__}: {error}"))
            else:
                self._times.append((len(features), perf_counter() - start))
                future.set_result(outputs)


def _check(outputs: Outputs, rows: int) -> None:
    """Refuse what is no answer to so many events: they would all fail by it."""
    for name, column in zip(Outputs._fields, outputs, strict=True):
        if column.shape != (rows,) or column.dtype.kind != "f":
            raise EngineError(
                f"{name} has shape {column.shape} of {column.dtype} for {rows} events"
            )


def without_number(outputs: Outputs) -> NDArray[np.bool_]:
    """Rows of which one of the answers is no number, (n,)."""
    finite = [np.isfinite(column) for column in outputs]
    broken: NDArray[np.bool_] = ~np.logical_and.reduce(finite)
    return broken
