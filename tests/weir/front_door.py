"""What the tests of the front door share: small events, settings, and the command itself."""

import os
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pyarrow.parquet as pq
import tomli_w

from streams.files.event_file import open_events
from weir.cli import console
from weir.config.settings import EXAMPLE_FILE, load_settings
from weir.main import main
from weir.simulator import SimulatorSettings, simulate
from weir.training.registering import train_and_register

QUICK_TRAINING = {"trees": {"rounds": 10}, "autoencoder": {"epochs": 1}, "threads": 1}
"""Learns little, in a second."""


class Trained(NamedTuple):
    """A folder with a champion that was trained on the events."""

    folder: Path
    events: Path


def environment(**more: str) -> dict[str, str]:
    """The environment of a user who has set nothing but `more`."""
    ours = {k: v for k, v in os.environ.items() if not k.startswith("WEIR_")}
    return ours | {"COLUMNS": "100", "PYTHONFAULTHANDLER": ""} | more


def registry_of(folder: Path, seeds: Sequence[int]) -> Path:
    """Train a model for each seed in a folder, the first of them champion; their events."""
    events = write_events(folder / "events.parquet")
    for seed in seeds:
        training = QUICK_TRAINING | {"seed": seed}
        settings = load_settings(write_settings(folder / "weir.toml", training=training))
        file = open_events(events, settings.event, settings.labels.field)
        train_and_register(settings, file, None, None)
    return events


def weir(
    *arguments: object, cwd: Path | None = None, timeout: float = 120, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run the command to its end, in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "weir", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=timeout,
        env=environment(PYTHONPATH=str(Path(__file__).parents[2]), **more),
        check=False,
    )


def weir_here(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command to its end in this process, which has done the imports: far sooner."""
    out, err, code = StringIO(), StringIO(), 0
    before, argv = dict(os.environ), sys.argv
    consoles = (console.stdout, console.stderr)
    widths = [each._width for each in consoles]
    try:
        for each in consoles:  # those that an earlier test has made know the width of then
            each._width = 100
        os.environ.clear()
        os.environ.update(environment())
        sys.argv = ["weir", *map(str, arguments)]
        with redirect_stdout(out), redirect_stderr(err):
            main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0
    finally:
        for each, width in zip(consoles, widths, strict=True):
            each._width = width
        sys.argv = argv
        os.environ.clear()
        os.environ.update(before)
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


def write_events(path: Path, days: int = 60, fraud: float = 1.0) -> Path:
    """Simulate about 8,000 transactions, 8 % of them fraudulent unless `fraud` lowers that."""
    settings = SimulatorSettings(
        customers=round(4_000 / days),
        terminals=40,
        days=days,
        seed=3,
        compromised_terminal_share=0.03 * fraud,
        leaked_card_share=0.03 * fraud,
        card_testing_share=0.02 * fraud,
    )
    pq.write_table(simulate(settings), path)
    return path


def write_settings(path: Path, **sections: Any) -> Path:
    """The example's settings with quick training, and `sections` in place of the example's."""
    values = tomllib.loads(EXAMPLE_FILE.read_text(encoding="utf-8"))
    values |= {"training": QUICK_TRAINING, "data_dir": str(path.parent / "data")} | sections
    path.write_text(tomli_w.dumps(values), encoding="utf-8")
    return path


def processes_of(folder: Path) -> list[psutil.Process]:
    """Whatever runs with this folder on its command line: the demo, its broker, its scorer."""
    found = []
    for process in psutil.process_iter():
        try:
            if any(str(folder) in part for part in process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return [each for each in found if each.pid != os.getpid()]
