"""``weir broker``: a real Apache Kafka on this machine, for development."""

import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Self

import typer
from pydantic import ValidationError
from rich.progress import BarColumn, Progress, SpinnerColumn, TimeElapsedColumn

from weir.broker import BrokerSettings, BrokerStatus, LocalBroker
from weir.cli.console import (
    ConfigOption,
    JsonOption,
    description_column,
    draws,
    print_json,
    stderr,
    stdout,
)

NOT_RUNNING = 3
"""Exit code of ``weir broker status``, as init scripts have it."""

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Run Apache Kafka on this machine: one node, for development and tests.\n\n"
    "It is Kafka itself, so transactions, consumer groups and fencing behave as on your cluster. "
    "Its jars are fetched once (39 MB) and verified; it needs Java 17 or newer, and "
    "`pip install 'weir[java]'` brings one. With a cluster of your own you need none of this: "
    "set `kafka.bootstrap_servers`.",
)

DataDirOption = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        metavar="DIR",
        show_default=False,
        help="Where topics, logs and the pid file are; else broker.data_dir, else var/broker.",
    ),
]
PortOption = Annotated[
    int | None,
    typer.Option(
        "--port",
        min=0,
        max=65535,
        show_default=False,
        help="Port for clients, 0 for any free one; else broker.port, else 9092.",
    ),
]


def broker_settings(
    data_dir: Path | None, port: int | None, config: Path | None = None
) -> BrokerSettings:
    """Return the ``[broker]`` section of the settings file, if there is one, and options over it.

    The broker is of use before there is a ``weir.toml``, so that a missing one is no error unless
    it was named.
    """
    given: dict[str, Any] = {}
    if data_dir is not None:
        given["data_dir"] = data_dir
    if port is not None:
        given["port"] = port
    if config is not None or "WEIR_CONFIG" in os.environ or Path("weir.toml").is_file():
        # Here, since it brings the compiled kernels, which take seconds to import.
        from weir.config.settings import load_settings

        return load_settings(config, broker=given).broker
    try:
        return BrokerSettings(**given)
    except ValidationError as error:
        raise typer.BadParameter(
            "; ".join(f"{each['loc'][0]}: {each['msg']}" for each in error.errors())
        ) from error


@app.command()
def start(
    data_dir: DataDirOption = None,
    port: PortOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Start it in the background and return when a record has gone through it.

    A broker that runs already is left as it is. End it with `weir broker stop`; its topics stay
    in the data directory for the next start.
    """
    broker = LocalBroker(broker_settings(data_dir, port, config))
    with _Steps() as steps:
        status = broker.start(steps)
    _show(status, as_json)


@app.command()
def run(
    data_dir: DataDirOption = None,
    port: PortOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run it in the foreground until Ctrl-C or SIGTERM, as containers and supervisors want it."""
    broker = LocalBroker(broker_settings(data_dir, port, config))
    with _Steps() as steps:

        def show(status: BrokerStatus) -> None:
            steps.close()
            _show(status, as_json)

        broker.run(show, steps)


@app.command()
def stop(
    data_dir: DataDirOption = None, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Stop it and keep its data. It is no error if it was not running."""
    settings = broker_settings(data_dir, None, config)
    stopped = LocalBroker(settings).stop()
    if as_json:
        print_json({"stopped": stopped, "data_dir": str(settings.data_dir.resolve())})
    else:
        stdout.print("stopped" if stopped else "it was not running")


@app.command()
def status(
    data_dir: DataDirOption = None, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Tell whether it runs; the exit code is 0 if it does and 3 if not."""
    status = LocalBroker(broker_settings(data_dir, None, config)).status()
    _show(status, as_json)
    if not status.running:
        raise typer.Exit(NOT_RUNNING)


def _show(status: BrokerStatus, as_json: bool) -> None:
    if as_json:
        print_json({**asdict(status), "data_dir": str(status.data_dir)})
        return
    if not status.running:
        stdout.print(f"not running (Apache Kafka {status.version}, data in {status.data_dir})")
        return
    state = "ready" if status.ready else "running, but it does not answer yet"
    stdout.print(f"Apache Kafka {status.version} is {state}")
    stdout.print(f"  bootstrap servers  {status.bootstrap_servers}")
    for name, address in status.listeners.items():
        stdout.print(f"  listener {name:<9} {address}")
    stdout.print(f"  data directory     {status.data_dir}", soft_wrap=True)
    stdout.print(f"  process            {status.pid}, up {status.uptime or 0:.0f} s")


class _Steps:
    """Draws the broker's steps on stderr; the last one goes on spinning until it is closed."""

    def __init__(self) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            description_column(),
            BarColumn(),
            TimeElapsedColumn(),
            console=stderr,
            disable=not draws(stderr),
            transient=True,
        )
        self._task = self._progress.add_task("looking for the broker", total=None)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __call__(self, step: str, done: int = 0, total: int = 0) -> None:
        self._progress.update(self._task, description=step, completed=done, total=total or None)

    def close(self) -> None:
        """Clear the line."""
        self._progress.stop()
