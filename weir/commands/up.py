"""`weir up`: the scorer under a supervisor."""

import sys

import typer

from weir.cli.console import FENCED, HISTORY_MISSING, WRONG_USE, ConfigOption
from weir.config.settings import find_settings_file, load_settings
from weir.services.stopping import stop_on_signals
from weir.services.supervisor import Supervisor


def up(
    config: ConfigOption = None,
    longest_wait: float = typer.Option(
        60.0, min=1.0, help="Longest pause between two starts, in seconds; it doubles from 1 s."
    ),
) -> None:
    """Keep `weir score` running: start it again when it fails, with a growing pause in between.

    For machines without a supervisor such as systemd or Kubernetes. Some ends are for good, because
    a new start would end in the same way: wrong settings (exit code 2), another scorer that took
    over (4), input that the windows need and that has expired (5). SIGTERM and Ctrl-C are passed
    on.
    """
    path = find_settings_file(config)
    load_settings(path)  # a mistake in it is said here, once
    command = [sys.executable, "-m", "weir", "score", "--config", str(path)]
    supervisor = Supervisor(
        command, (WRONG_USE, FENCED, HISTORY_MISSING), longest_wait_s=longest_wait
    )
    raise typer.Exit(supervisor.run(stop_on_signals()))
