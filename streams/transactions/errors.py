"""How a producer of transactions ends for good."""

from typing import Self

from streams.base.errors import FENCED, WRONG_USE, WeirError


def overdue(seconds: float) -> str:
    """In words, how long a call has not come back."""
    return f"a call of Kafka's client has not come back for {seconds:g} s"


class FencedError(WeirError):
    """Another process with the same transactional id has taken over."""

    exit_code = FENCED


class OutlivedError(WeirError):
    """The cluster gave up a transaction that took too long, and this producer with it."""

    @classmethod
    def after(cls, timeout_ms: int) -> Self:
        """Say that a transaction was fenced off by nobody but its own time."""
        return cls(
            "a transaction took longer than loop.transaction_timeout "
            f"({timeout_ms / 1_000:g} s), so the cluster gave it up: start "
            "again; nothing of it was committed"
        )

    @classmethod
    def overdue(cls, seconds: float) -> Self:
        """Say that a call can't be waited for any longer."""
        return cls(f"{overdue(seconds)}: start again")


class RecordRefusedError(WeirError):
    """The cluster does not take what was made of a record, and would not the next time."""

    exit_code = WRONG_USE
