"""From an exception to one clear line and an exit code."""

import os
import sys
from errno import EPIPE

import typer

from weir.cli.console import (
    FAILED,
    FENCED,
    HISTORY_MISSING,
    STOPPED,
    UNAVAILABLE,
    WRONG_USE,
    stderr,
)


def explain(error: Exception) -> int:
    """Print what went wrong on stderr and return the exit code; what nobody expected is raised."""
    if _is_wrong_use(error):
        error.show()  # type: ignore[attr-defined]
        return WRONG_USE
    if isinstance(error, typer.Abort):
        stderr.print("stopped")
        return STOPPED
    if isinstance(error, OSError) and error.errno == EPIPE:
        # Whoever read our output has left, such as `head`; the interpreter must not try again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    code = _exit_code(error)
    if code is None or os.environ.get("WEIR_TRACEBACK"):
        raise error
    stderr.print(f"error: {_message(error)}", soft_wrap=True)
    return code


def _is_wrong_use(error: Exception) -> bool:
    """Whether the command line is wrong.

    Typer carries a click of its own from 0.2x on, so that click's classes can't be named here.
    """
    return any(kind.__name__ == "ClickException" for kind in type(error).__mro__)


def _exit_code(error: Exception) -> int | None:
    # Imported here: `weir --help` must not pay for Kafka's and the models' modules.
    from confluent_kafka import KafkaException

    from explain.errors import ExplainError
    from explain.store.errors import StoreUnavailableError
    from inference.errors import InferenceError
    from inference.importing.static.refusal import ImportRefusedError
    from streams.files.event_file import EventFileError
    from streams.kafka.authorization import AuthorizationError
    from streams.kafka.client import ClientSettingsError, KafkaUnavailableError
    from streams.kafka.publisher import PublishError
    from streams.kafka.topics import TopicError
    from streams.loop.restorer import ForeignOffsetsError, MissingHistoryError
    from streams.replay.replay import ReplayError
    from streams.stages.common.messages import MessageError
    from streams.stages.worker.loop import RecordRefusedError
    from streams.stages.worker.migration import FeaturesChangedError, FormerWorkersError
    from streams.transactions.errors import FencedError, OutlivedError
    from weir.broker import BrokerError
    from weir.config.errors import DemoError, SettingsError

    codes: list[tuple[int, tuple[type[Exception], ...]]] = [
        (WRONG_USE, (SettingsError, ClientSettingsError, ForeignOffsetsError, ImportRefusedError)),
        (WRONG_USE, (MessageError, RecordRefusedError, FeaturesChangedError)),
        (UNAVAILABLE, (KafkaUnavailableError, AuthorizationError, KafkaException)),
        (UNAVAILABLE, (StoreUnavailableError,)),
        (FENCED, (FencedError,)),
        (HISTORY_MISSING, (MissingHistoryError,)),
        (
            FAILED,
            (FormerWorkersError, OutlivedError, InferenceError, BrokerError, TopicError, DemoError),
        ),
        (FAILED, (ExplainError, EventFileError, ReplayError, PublishError, OSError, ValueError)),
    ]
    return next((code for code, kinds in codes if isinstance(error, kinds)), None)


def _message(error: Exception) -> str:
    from confluent_kafka import KafkaException

    from streams.kafka.authorization import denial, is_denial

    if isinstance(error, KafkaException):
        if is_denial(error.args[0]):
            return denial(error.args[0])
        return f"Kafka: {error.args[0].str()}"
    if isinstance(error, UnicodeEncodeError) and error.encoding == "utf-8":
        return f"{error.object!r} is no text in UTF-8: write it in that"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)
