"""Progress on stderr: a bar in a terminal, a line now and then elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from tests.chaos.inspection import Progress as OnProgress

_EVERY_S = 15.0


@contextmanager
def progress_on(console: Console, title: str) -> Iterator[OnProgress]:
    """Show what a campaign does, for the length of a ``with`` block."""
    if not console.is_terminal:
        yield _Lines(console)
        return
    columns = (TextColumn("{task.description}"), BarColumn(20), TimeElapsedColumn())
    with Progress(*columns, console=console, refresh_per_second=2) as bar:
        task = bar.add_task(title, total=1.0)
        yield lambda what, share: bar.update(task, description=what, completed=share)


class _Lines:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._start = monotonic()
        self._last = -_EVERY_S

    def __call__(self, what: str, share: float) -> None:
        if monotonic() - self._last >= _EVERY_S:
            self._last = monotonic()
            seconds = self._last - self._start
            self._console.print(f"{seconds:5.0f} s {share:4.0%} {what}", markup=False)
