"""The `weir` command."""

import atexit
import os
import sys
import threading

import typer

from streams.base.bounded_calls import FOREVER
from weir import __version__
from weir.cli.console import STOPPED
from weir.cli.exit_codes import explain
from weir.cli.lazy_commands import LazyGroup
from weir.config import logs
from weir.services.processes import PROCESSES

SERVICES = tuple((process.name, process.target, process.help) for process in PROCESSES)


class Commands(LazyGroup):
    """All commands. A test keeps each line equal to the first one of the command's own help."""

    lazy = (
        (
            "demo",
            "weir.commands.demo:demo",
            "Show all of it: Kafka, training, exactly-once scoring, on simulated card "
            "transactions.",
        ),
        (
            "init",
            "weir.commands.init:init",
            "Write an example weir.toml: card transactions, 17 features, a policy.",
        ),
        (
            "topics",
            "weir.commands.cluster.topics:topics",
            "Make the topics that are missing, and list them all.",
        ),
        (
            "features",
            "weir.commands.models.features:features",
            "Compute the declared features of a file's events, with the scorer's own code.",
        ),
        (
            "train",
            "weir.commands.models.train:train",
            "Train a fraud and an anomaly model on the archive or a file, and register them.",
        ),
        (
            "retrain",
            "weir.commands.models.retrain:retrain",
            "Run a retraining job: train the model that its spec names, and register it.",
        ),
        *SERVICES,
        (
            "drift",
            "weir.commands.services.drift:drift",
            "Look at episodes of drift, and say what becomes of them.",
        ),
        (
            "fidelity",
            "weir.commands.explanations.fidelity:fidelity",
            "Measure how right explanations are, on a sample of flagged events.",
        ),
        (
            "topology",
            "weir.commands.cluster.topology:topology",
            "Print what runs where: the stages, their topics, and the scorers that share them now.",
        ),
        (
            "up",
            "weir.commands.services.up:up",
            "Keep `weir score` and others running: start again what fails, with a growing pause.",
        ),
        (
            "replay",
            "weir.commands.cluster.replay:replay",
            "Publish a file as events and, at their due time, their labels.",
        ),
        (
            "evaluate",
            "weir.commands.models.evaluate:evaluate",
            "Compare what stands in the scores topic with the labels: AUC, average precision, ...",
        ),
        (
            "performance",
            "weir.commands.performance:performance",
            "Show how well models did, day by day: precision, recall, average precision, cost.",
        ),
        (
            "sql",
            "weir.commands.sql:sql",
            "Ask the archive: views events, scores, labels, matured and young.",
        ),
        (
            "models",
            "weir.commands.models.models:app",
            "Models in the registry, and which of them answers.",
        ),
        ("policy", "weir.commands.models.policy:app", "What is decided by a model's answers."),
        (
            "keys",
            "weir.commands.keys:app",
            "The keys that sign commands and model packages, and whose signatures count.",
        ),
        (
            "reasons",
            "weir.commands.explanations.reasons:app",
            "What decisions are explained by: the catalogue of reasons in words.",
        ),
        (
            "tokens",
            "weir.commands.explanations.tokens:app",
            "What stands for personal identifiers in explanations: make, look up, erase.",
        ),
        (
            "audit",
            "weir.commands.explanations.audit:app",
            "Whether the store of explanations is as it was written, and what people did with it.",
        ),
        (
            "explanation",
            "weir.commands.explanations.explanation:app",
            "Why decisions were made: find, show, reproduce and export explanations.",
        ),
        (
            "label",
            "weir.commands.explanations.label:label",
            "Say what an event was; models and metrics learn it from the labels topic.",
        ),
        (
            "labels",
            "weir.commands.models.labels:app",
            "What is held for likely while labels are young.",
        ),
        ("review", "weir.commands.models.review:app", "What reviewers look at next."),
        (
            "dead-letters",
            "weir.commands.cluster.dead_letters:app",
            "Look at rejected records, send them again, or delete them.",
        ),
        (
            "erase",
            "weir.commands.erase:erase",
            "Erase somebody: what can go at once, and what goes by itself, and when.",
        ),
        (
            "acls",
            "weir.commands.cluster.acls:acls",
            "Print the ACLs that each process needs, with the names of these settings.",
        ),
        ("bench", "weir.commands.bench:app", "How fast this machine is."),
        (
            "broker",
            "weir.commands.cluster.broker:app",
            "Run Apache Kafka on this machine: one node, for development and tests.",
        ),
    )


app = typer.Typer(
    name="weir",
    cls=Commands,
    help="Real-time fraud and anomaly scoring on Kafka, exactly once.\n\n"
    "New here? `weir demo` shows all of it on simulated card transactions.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"weir {__version__}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    version: bool = typer.Option(
        False, "--version", callback=_show_version, is_eager=True, help="Print the version."
    ),
    verbose: bool = typer.Option(False, "--verbose", "-v", help="Log more to stderr."),
) -> None:
    """Set up what all commands share."""
    logs.begin(context.invoked_subcommand or "weir", verbose=verbose)
    logs.mask_tracebacks()  # after Typer, which sets a hook of its own


def main() -> None:
    """Run the command line; a user's mistake ends in one clear line, never in a stack trace."""
    _have_a_home()
    try:
        code = app(prog_name="weir", standalone_mode=False)
        sys.stdout.flush()
    except KeyboardInterrupt:
        code = STOPPED
    except Exception as error:
        code = explain(error)
    # Python's own end would pull the ground from under a thread that is in a library's code.
    if code == STOPPED or any(each.name.startswith(FOREVER) for each in threading.enumerate()):
        _leave(code or 0)
    sys.exit(code or 0)


def _have_a_home() -> None:
    """Say that the home is ``/``, as container runtimes do, where the user is but a number.

    Libraries such as MLflow ask for a home while they are imported, and take none for an error.
    """
    if os.path.expanduser("~") == "~":
        os.environ["HOME"] = "/"


def _leave(code: int) -> None:
    """End now, with this exit code.

    Python would end by SIGINT, whatever code it is given, where Ctrl-C came while a string was
    being executed (as in making a dataclass), although the interrupt was caught.
    """
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
