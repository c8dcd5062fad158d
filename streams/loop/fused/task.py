"""What a loop runs: a task whose state is a function of the input before some offsets."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from streams.intake.input_batch import InputBatch
from streams.transactions.outcome import Committed, Outgoing


class StateMismatchError(Exception):
    """State that was written down can't be taken up: it is another's, or damaged."""


@dataclass(frozen=True)
class Answers:
    """What a task makes of some work.

    Attributes:
        outgoing: records to be produced.
        when_visible: called once they are committed.
    """

    outgoing: list[Outgoing]
    when_visible: Callable[[Committed], None]


class Task(Protocol):
    """What a loop does with its input."""

    @property
    def memory_ms(self) -> int:
        """How far back in event time an event can matter to the answer to a later one."""

    def reset(self) -> None:
        """Forget all state, and all savepoints."""

    def restore(self, work: InputBatch) -> None:
        """Take work that was answered before into the state, and answer nothing."""

    def process(self, work: InputBatch) -> Answers:
        """Take work into the state and answer it."""

    def savepoint(self) -> None:
        """Remember the state as it is now; savepoints are kept in their order."""

    def commit(self) -> None:
        """Forget the oldest savepoint: what came after it is committed."""

    def rollback(self) -> None:
        """Go back to the state at the oldest savepoint, and forget all savepoints."""

    def dump(self) -> Sequence[bytes | memoryview]:
        """The state as bytes that `load` takes; must neither start nor wait for a thread."""

    def load(self, buffers: Sequence[memoryview]) -> None:
        """Replace the state by one that was dumped.

        Raises:
            StateMismatchError: it does not fit; the state is then empty.
        """

    def check(self) -> None:
        """Answer something known, and keep it to oneself.

        Raises:
            Exception: no event can be answered any more, whatever it holds.
        """

    def aborted(self, reason: str) -> None:
        """Note that a transaction was aborted."""
