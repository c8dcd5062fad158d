"""How long work tells what it is doing."""

from typing import Protocol


class Progress(Protocol):
    """Called with a step in words and how much of it is done; a total of 0 is unknown.

    Calls may come from any thread, one at a time.
    """

    def __call__(self, step: str, done: int = 0, total: int = 0) -> None:
        """Tell it."""


def silent(step: str, done: int = 0, total: int = 0) -> None:
    """A `Progress` that nobody watches."""
