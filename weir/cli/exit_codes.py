"""From an exception to one clear line and an exit code."""

import logging
import os
import sys
from errno import EPIPE
from typing import Any

import typer

from streams.base.errors import FAILED, STOPPED, UNAVAILABLE, WRONG_USE, WeirError
from streams.base.masking import without_secrets
from weir.cli.console import stderr
from weir.config import logs

logger = logging.getLogger(__name__)


def explain(error: Exception) -> int:
    """Print what went wrong on stderr and return the exit code; what nobody expected is raised."""
    if _is_wrong_use(error):
        _show_wrong_use(error)
        return WRONG_USE
    if isinstance(error, typer.Abort):
        stderr.print("stopped")
        return STOPPED
    if isinstance(error, OSError) and error.errno == EPIPE:
        # Whoever read our output has left, such as `head`; the interpreter must not try again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    code = _exit_code(error)
    traceback = code is None or bool(os.environ.get("WEIR_TRACEBACK"))
    if logs.is_json():
        logger.error(_message(error), exc_info=error if traceback else None)
    elif traceback:
        raise error
    else:
        _print_lines(f"error: {_message(error)}")
    return FAILED if code is None else code


def _is_wrong_use(error: Exception) -> bool:
    """Whether the command line is wrong.

    Typer carries a click of its own from 0.2x on, so that click's classes can't be named here.
    """
    return any(kind.__name__ == "ClickException" for kind in type(error).__mro__)


def _show_wrong_use(error: Any) -> None:
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()  # help: a text of ours
        return
    if error.ctx is not None:
        _print_lines(error.ctx.get_usage())
        stderr.print(f"Try '{error.ctx.command_path} --help' for help.", soft_wrap=True)
    _print_lines(f"error: {without_secrets(error.format_message())}")


def _print_lines(text: str) -> None:
    """Print a message; lines but the first are set in, so that none passes for another message."""
    for number, line in enumerate(text.split("\n")):
        stderr.print(f"  {line}" if number else line, soft_wrap=True)


def _exit_code(error: Exception) -> int | None:
    if isinstance(error, WeirError):
        return error.exit_code
    if _is_from_kafka(error):
        return UNAVAILABLE
    return FAILED if isinstance(error, OSError | ValueError) else None


def _is_from_kafka(error: Exception) -> bool:
    # By name: `weir --help` must not pay for Kafka's client, nor a command that does without it.
    return any(kind.__name__ == "KafkaException" for kind in type(error).__mro__)


def _message(error: Exception) -> str:
    return without_secrets(_words(error))  # before its lines are cut apart


def _words(error: Exception) -> str:
    if _is_from_kafka(error):
        from streams.kafka.authorization import denial, is_denial

        if is_denial(error.args[0]):
            return denial(error.args[0])
        return f"Kafka: {error.args[0].str()}"
    if isinstance(error, UnicodeEncodeError) and error.encoding == "utf-8":
        return f"{error.object!r} is not UTF-8: write it in UTF-8"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)
