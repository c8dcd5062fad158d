"""`weir demo`: all of it, on one machine, in about a minute."""

import logging
import signal
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from weir.cli.console import FAILED, JsonFileOption, QuietOption, stdout, write_json

_MOST_EVENTS = 5_000_000


class Story(StrEnum):
    """What `--story` can tell."""

    SHADOW = "shadow"
    DRIFT = "drift"
    LOOP = "loop"


def _nothing(line: str) -> None:
    pass


def demo(
    seconds: Annotated[
        float, typer.Option(min=1, help="How long events are streamed live.")
    ] = 30.0,
    rate: Annotated[float, typer.Option(min=1, help="Live events per second.")] = 1_000.0,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Parquet or CSV file of real events instead of simulated ones; "
            "--config then says what they hold.",
            show_default=False,
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            "-c",
            metavar="FILE",
            show_default=False,
            help="Settings file that goes with --data; else those of the simulated events.",
        ),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--dir",
            help="Where everything lies: broker, models, events, logs.",
            show_default="var/demo, or var/story-shadow, …",
        ),
    ] = None,
    story: Annotated[
        Story | None,
        typer.Option(
            help="Tell this instead, on simulated transactions: a candidate in the shadow, as a "
            "canary, and as champion; a producer that sends cents for euros; or the whole loop: "
            "new fraud, a model trained anew, and its way to champion.",
            show_default=False,
        ),
    ] = None,
    alone: Annotated[
        bool, typer.Option("--alone", help="The scorer alone: no candidate, no monitor.")
    ] = False,
    json_file: JsonFileOption = None,
    no_progress: QuietOption = False,
) -> None:
    """Show all of it: Kafka, training, exactly-once scoring, on simulated card transactions.

    Starts an Apache Kafka of its own, trains a champion if there is none, starts the scorer as a
    process of its own, replays history as fast as it can and then events at a steady rate, and
    counts what a downstream consumer sees. While events are live, a second model is tried in the
    shadow, then as a canary for a tenth of the cards, and a monitor watches for drift. Leaves
    nothing running. Exit code 1 if an event was lost or answered twice.
    """
    from weir.demo.run import DemoOptions, run_demo
    from weir.demo.screen import summary_table
    from weir.demo.story.run import run_story

    if not rate * seconds <= _MOST_EVENTS:
        raise typer.BadParameter(
            f"--seconds times --rate must be at most {_MOST_EVENTS:,} events, or simulating them "
            "would not fit in memory"
        )
    if json_file is not None and not json_file.absolute().parent.is_dir():
        raise typer.BadParameter(f"--json: there is no folder {str(json_file.parent)!r}")
    if not logging.getLogger().isEnabledFor(logging.DEBUG):
        # What matters ends the demo; a client that tries again only disturbs the picture.
        logging.getLogger("streams").setLevel(logging.ERROR)
    if story is not None and (data is not None or config is not None):
        raise typer.BadParameter("--story plays on simulated transactions: leave --data out")
    folder = folder or Path("var/demo" if story is None else f"var/story-{story.value}")
    options = DemoOptions(folder, seconds, rate, data, config, not no_progress, alone)

    def interrupt(number: int, frame: FrameType | None) -> None:
        options.stopped.set()
        raise KeyboardInterrupt

    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, interrupt)
    try:
        if story is None:
            summary = run_demo(options)
        else:
            summary = run_story(
                story.value, options, stdout.print if json_file is None else _nothing
            )
    except KeyboardInterrupt:
        raise typer.Abort from None
    if json_file is not None:
        write_json(json_file, summary)
    if story is not None:
        if not summary["met"]:
            raise typer.Exit(FAILED)
        return
    if json_file != Path("-"):
        stdout.print(summary_table(summary))
        for line in (
            f"Everything lies in {summary['data_dir']}; nothing is left running. Go on with",
            f"  weir broker start --config {summary['settings_file']}",
            f"  weir evaluate --config {summary['settings_file']}",
        ):
            stdout.print(line, soft_wrap=True)
    if summary["lost"] or summary["duplicated"]:
        raise typer.Exit(FAILED)
