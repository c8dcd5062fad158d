"""`weir up`: a set of processes under a supervisor."""

import logging
import sys
from typing import Annotated

import typer

from streams.base.child_process import our_module
from weir.cli.console import ConfigOption, draws, stderr
from weir.config import logs
from weir.config.errors import SettingsError
from weir.config.settings import Settings, find_settings_file, load_settings
from weir.services.process_output import ProcessOutput
from weir.services.processes import PROCESSES
from weir.services.stopping import stop_on_signals
from weir.services.supervisor import Supervisor

_NAMES = [process.name for process in PROCESSES]


def _known(names: list[str]) -> list[str]:
    for name in names:
        if name not in _NAMES:
            raise typer.BadParameter(f"there is no process {name!r}, only {', '.join(_NAMES)}")
    if len(set(names)) < len(names):
        raise typer.BadParameter("a process is named twice: each is run once")
    return names


def up(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="PROCESS",
            callback=_known,
            help=f"What to run, in the order of their start: {', '.join(_NAMES)}.",
        ),
    ] = ["score"],  # noqa: B006 - typer copies it
    config: ConfigOption = None,
    longest_wait: Annotated[
        float,
        typer.Option(
            min=1.0, help="Longest pause between two starts, in seconds; it doubles from 1 s."
        ),
    ] = 60.0,
) -> None:
    """Keep `weir score` and others running: start again what fails, with a growing pause.

    `weir up score explainer sink` runs all three, for machines without a supervisor such as systemd
    or Kubernetes. Each line that they log stands under its process's name; each has a port of its
    own for metrics.

    What failed or was killed is started again, alone. Some ends are for good, because a new start
    would end in the same way: wrong settings or features (exit code 2), another process that took
    over (4), input that the windows need and that has expired (5). Then, and where someone stops a
    single one, all others are stopped too and the exit code is that one's. SIGTERM and Ctrl-C stop
    all, one after the other, the last one first.
    """
    path = find_settings_file(config)
    settings = load_settings(path)  # a mistake in it is said here, once
    _check_port(settings, names)
    verbose = ["-v"] if logging.getLogger().isEnabledFor(logging.DEBUG) else []
    commands = {name: our_module("weir", *verbose, name, "--config", str(path)) for name in names}
    output = ProcessOutput(
        sys.stderr, names, coloured=draws(stderr) and not stderr.no_color, as_json=logs.is_json()
    )
    supervisor = Supervisor(commands, output, longest_wait_s=longest_wait)
    raise typer.Exit(supervisor.run(stop_on_signals()))


def _check_port(settings: Settings, names: list[str]) -> None:
    """Several processes can't answer on one port; without a setting each has its own."""
    if len(names) > 1 and "port" in settings.metrics.model_fields_set and settings.metrics.port:
        raise SettingsError(
            f"metrics.port = {settings.metrics.port} can't be the port of {len(names)} processes: "
            "leave it out, and each has its own, or set it to 0, and each takes a free one"
        )
