"""The `weir` command."""

import logging
import os
import sys

import typer

from weir import __version__
from weir.commands import broker, models
from weir.commands.demo import demo
from weir.commands.evaluate import evaluate
from weir.commands.features import features
from weir.commands.init import init
from weir.commands.replay import replay
from weir.commands.score import score
from weir.commands.topics import topics
from weir.commands.train import train
from weir.console import FAILED, FENCED, UNAVAILABLE, WRONG_USE, stderr

app = typer.Typer(
    name="weir",
    help="Real-time fraud and anomaly scoring on Kafka, exactly once.\n\n"
    "New here? `weir demo` shows all of it on simulated card transactions.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
app.command()(demo)
app.command()(init)
app.command()(topics)
app.command()(features)
app.command()(train)
app.command()(score)
app.command()(replay)
app.command()(evaluate)
app.add_typer(models.app, name="models")
app.add_typer(broker.app, name="broker")


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"weir {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: bool = typer.Option(
        False, "--version", callback=_show_version, is_eager=True, help="Print the version."
    ),
    verbose: bool = typer.Option(False, "--verbose", "-v", help="Say more on stderr."),
) -> None:
    """Set up what all commands share."""
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    for noisy in ("numba", "mlflow", "alembic", "urllib3", "git"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def main() -> None:
    """Run the command line; a user's mistake ends in one clear line, never in a stack trace."""
    try:
        code = app(standalone_mode=False)
    except Exception as error:
        code = _explain(error)
    sys.stdout.flush()
    sys.exit(code or 0)


def _explain(error: Exception) -> int:
    """Print what went wrong and return the exit code; what nobody expected is raised again."""
    import click
    from confluent_kafka import KafkaException

    from inference.errors import InferenceError
    from streams.broker import BrokerError
    from streams.kafka import KafkaUnavailableError
    from streams.topics import TopicError
    from streams.transactor import FencedError
    from weir.settings import SettingsError

    if isinstance(error, click.exceptions.Abort):
        stderr.print("stopped")
        return 130
    if isinstance(error, click.ClickException):
        error.show()
        return error.exit_code
    expected: dict[type[Exception] | tuple[type[Exception], ...], int] = {
        SettingsError: WRONG_USE,
        KafkaUnavailableError: UNAVAILABLE,
        FencedError: FENCED,
        (InferenceError, BrokerError, TopicError): FAILED,
        (OSError, ValueError): FAILED,
    }
    if isinstance(error, KafkaException):
        stderr.print(f"error: Kafka: {error.args[0].str()}", markup=False)
        return UNAVAILABLE
    for kinds, code in expected.items():
        if isinstance(error, kinds) and not os.environ.get("WEIR_TRACEBACK"):
            stderr.print(f"error: {error}", markup=False)
            return code
    raise error
