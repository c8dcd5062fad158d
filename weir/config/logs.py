"""The log on stderr: lines of text, or one JSON object a line.

`begin` is for the start of a command, when no settings are known yet, and `follow` for when they
are. A program that has set up a log of its own keeps it.
"""

import logging
import os
import sys
import threading
import traceback
from datetime import UTC, datetime
from types import TracebackType
from typing import Protocol, TextIO

from streams.base.safe_text import json_text, safe_lines, safe_text

_NOISY = ("numba", "mlflow", "alembic", "urllib3", "git", "httpx", "httpx2")
_handler: logging.Handler | None = None
_verbose = False
_process = "weir"


class LogForm(Protocol):
    """What `weir.config.log_settings.LogSettings` says."""

    @property
    def format(self) -> str:
        """``text`` or ``json``."""

    @property
    def level(self) -> str:
        """The least that is said."""


class TextFormatter(logging.Formatter):
    """One line, which nothing in it can end; a traceback follows it, set in."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        head = f"{self.formatTime(record)} {record.levelname} {record.name}"
        lines = [safe_text(f"{head}: {record.getMessage().rstrip()}")]
        if record.exc_info:
            lines.append(safe_lines(self.formatException(record.exc_info)))
        if record.stack_info:
            lines.append(safe_lines(record.stack_info))
        return "\n  ".join(lines)


class JsonFormatter(logging.Formatter):
    """One object a line: time, level, logger, process, message, and the exception if there is one.

    Args:
        process: the name of the command, such as ``score``.
    """

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        return json_line(
            self._process,
            record.getMessage(),
            level=record.levelname.lower(),
            logger=record.name,
            seconds=record.created,
            exception=self.formatException(record.exc_info) if record.exc_info else None,
        )


def json_line(
    process: str,
    message: str,
    *,
    seconds: float,
    level: str | None = None,
    logger: str | None = None,
    exception: str | None = None,
) -> str:
    """One object; what is None is left out. `seconds` are since the epoch, and written as UTC."""
    time = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    fields = {
        "time": time.replace("+00:00", "Z"),
        "level": level,
        "logger": logger,
        "process": process,
        "message": message,
        "exception": exception,
    }
    return json_text({key: value for key, value in fields.items() if value is not None})


class _StderrHandler(logging.StreamHandler[TextIO]):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Say that a record can't be written; Python would show what is in it as it is."""
        said = f"a line of {record.name!r} can't be logged: {traceback.format_exc()}"
        sys.stderr.write(f"{safe_lines(said)}\n")


def begin(process: str, *, verbose: bool) -> None:
    """Log to stderr until the settings say how: as text, unless the environment asks for JSON."""
    global _handler, _verbose, _process
    _verbose, _process = verbose, process
    root = logging.getLogger()
    if root.handlers:
        return
    _handler = _StderrHandler(sys.stderr)
    root.addHandler(_handler)
    for noisy in _NOISY:
        logging.getLogger(noisy).setLevel(logging.WARNING)
    _apply(os.environ.get("WEIR_LOG__FORMAT", "text"), "info")


def follow(form: LogForm) -> None:
    """Log as the settings say from now on, where `begin` was called."""
    if _handler is not None:
        _apply(form.format, form.level)


def mask_tracebacks() -> None:
    """Filter also what Python says of an exception that nobody expected, in whatever thread."""

    def show(
        kind: type[BaseException], error: BaseException | None, trace: TracebackType | None
    ) -> None:
        lines = traceback.format_exception(kind, error, trace)
        sys.stderr.write(f"{safe_lines(''.join(lines))}\n")

    def show_of_thread(ended: threading.ExceptHookArgs) -> None:
        if ended.exc_value is not None and not isinstance(ended.exc_value, SystemExit):
            show(ended.exc_type, ended.exc_value, ended.exc_traceback)

    sys.excepthook = show
    threading.excepthook = show_of_thread
    sys.unraisablehook = lambda each: show(each.exc_type, each.exc_value, each.exc_traceback)


def is_json() -> bool:
    """Whether the log is one of JSON objects."""
    return _handler is not None and isinstance(_handler.formatter, JsonFormatter)


def _apply(form: str, level: str) -> None:
    assert _handler is not None
    _handler.setFormatter(JsonFormatter(_process) if form == "json" else TextFormatter())
    logging.captureWarnings(True)
    logging.getLogger().setLevel(logging.DEBUG if _verbose else level.upper())
