"""What all commands share: options, error exits, progress on stderr, JSON on stdout."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from streams.base.atomic_file import atomic_file
from streams.base.errors import FAILED as FAILED
from streams.base.errors import FENCED as FENCED
from streams.base.errors import HISTORY_MISSING as HISTORY_MISSING
from streams.base.errors import STOPPED as STOPPED
from streams.base.errors import UNAVAILABLE as UNAVAILABLE
from streams.base.errors import WRONG_USE as WRONG_USE
from streams.base.safe_text import json_text
from weir.cli.safe_console import SafeConsole


class Topology(StrEnum):
    """See `streams.loop.settings.LoopSettings`."""

    FUSED = "fused"
    STAGED = "staged"


class ComputeEngine(StrEnum):
    """What computes over files and the archive."""

    LOCAL = "local"
    SPARK = "spark"


stdout = SafeConsole()
stderr = SafeConsole(stderr=True)

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        show_default=False,
        help="Settings file; else WEIR_CONFIG, else weir.toml in this folder.",
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON object for programs instead of text.")
]
JsonFileOption = Annotated[
    Path | None,
    typer.Option(
        "--json",
        metavar="FILE",
        show_default=False,
        help="Write the result as one JSON object to FILE; - is standard output.",
    ),
]
EngineOption = Annotated[
    ComputeEngine,
    typer.Option("--engine", help="What computes: this process, or Spark as [spark] says."),
]
QuietOption = Annotated[bool, typer.Option("--no-progress", help="Show no progress.")]

Step = Callable[[int, int], None]
"""Called with how much of how much is done."""


STDOUT = Path("-")


def print_json(value: Any, indent: int | None = 2) -> None:
    """Write one JSON object to stdout; NaN becomes null."""
    sys.stdout.write(json_text(_finite(value), indent) + "\n")


def write_json(path: Path, value: Any) -> None:
    """Write one JSON object to a file, or to stdout for ``-``."""
    if path == STDOUT:
        print_json(value)
        return
    path.write_text(json_text(_finite(value), 2) + "\n", encoding="utf-8")


def write_file(path: Path, parts: Iterable[bytes]) -> None:
    """Write a file that appears whole, in place of what was there, and say so; ``-`` is stdout.

    Raises:
        OSError: it can't be written; what was there is as it was.
    """
    if path == STDOUT:
        sys.stdout.flush()
        sys.stdout.buffer.writelines(parts)
        return
    try:
        if path.exists() and not path.is_file():  # a pipe, or a device
            with path.open("wb") as file:
                file.writelines(parts)
        else:
            with atomic_file(path.resolve()) as file:
                file.writelines(parts)
    except OSError as error:  # that of a full disk names no file
        raise OSError(error.errno, error.strerror, str(path)) from error
    stderr.print(f"wrote {path}", soft_wrap=True)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    if isinstance(value, float) and not abs(value) < float("inf"):
        return None
    return value


def description_column() -> TextColumn:
    """The column of a progress bar that says what is done; a name in it is no markup."""
    return TextColumn("{task.description}", markup=False)


def draws(console: Console) -> bool:
    """Whether a console can redraw a line: it is a terminal, and no dumb one."""
    return console.is_terminal and not console.is_dumb_terminal


@contextmanager
def progress_bar(title: str, show: bool = True) -> Iterator[Step]:
    """Draw a bar on stderr for a piece of work that reports how far it is."""
    with Progress(
        SpinnerColumn(),
        description_column(),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=stderr,
        disable=not (show and draws(stderr)),
        transient=True,
    ) as progress:
        task = progress.add_task(title, total=None)

        def step(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total or None)

        yield step


class _LineEach:
    def __init__(self) -> None:
        self._before = ""

    def __call__(self, title: str, share: float) -> None:
        if title != self._before:
            stderr.print(title)
        self._before = title


@contextmanager
def steps_bar(show: bool = True) -> Iterator[Callable[[str, float], None]]:
    """Draw one bar on stderr for work of several named steps, each of which goes from 0 to 1.

    Where stderr can't draw, such as in the log of a build, each step is a line.
    """
    if show and not draws(stderr):
        yield _LineEach()
        return
    with Progress(
        SpinnerColumn(),
        description_column(),
        BarColumn(),
        TimeElapsedColumn(),
        console=stderr,
        disable=not show,
        transient=True,
    ) as progress:
        task = progress.add_task("", total=1.0)

        def step(title: str, share: float) -> None:
            progress.update(task, description=title, completed=share)

        yield step
