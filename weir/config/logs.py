"""The log on stderr: lines of text, or one JSON object a line.

`begin` is for the start of a command, when no settings are known yet, and `follow` for when they
are. A program that has set up a log of its own keeps it.
"""

import json
import logging
import os
import sys
import threading
import traceback
from datetime import UTC, datetime
from types import TracebackType
from typing import Protocol

from streams.base.secrets import without_logins

_TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
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
    """A line of text, with its traceback if there is one; logins in URLs are masked."""

    def __init__(self) -> None:
        super().__init__(_TEXT)

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        return without_logins(super().format(record))


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
        "message": without_logins(message),
        "exception": None if exception is None else without_logins(exception),
    }
    return json.dumps({key: value for key, value in fields.items() if value is not None})


def begin(process: str, *, verbose: bool) -> None:
    """Log to stderr until the settings say how: as text, unless the environment asks for JSON."""
    global _handler, _verbose, _process
    _verbose, _process = verbose, process
    root = logging.getLogger()
    if root.handlers:
        return
    _handler = logging.StreamHandler(sys.stderr)
    root.addHandler(_handler)
    for noisy in _NOISY:
        logging.getLogger(noisy).setLevel(logging.WARNING)
    _apply(os.environ.get("WEIR_LOG__FORMAT", "text"), "info")


def follow(form: LogForm) -> None:
    """Log as the settings say from now on, where `begin` was called."""
    if _handler is not None:
        _apply(form.format, form.level)


def mask_tracebacks() -> None:
    """Mask logins in URLs also where an exception that nobody expected ends the process."""

    def show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        lines = traceback.format_exception(kind, error, trace)
        sys.stderr.write(without_logins("".join(lines)))

    def show_of_thread(ended: threading.ExceptHookArgs) -> None:
        if ended.exc_value is not None and not isinstance(ended.exc_value, SystemExit):
            show(ended.exc_type, ended.exc_value, ended.exc_traceback)

    sys.excepthook = show
    threading.excepthook = show_of_thread


def is_json() -> bool:
    """Whether the log is one of JSON objects."""
    return _handler is not None and isinstance(_handler.formatter, JsonFormatter)


def _apply(form: str, level: str) -> None:
    assert _handler is not None
    _handler.setFormatter(JsonFormatter(_process) if form == "json" else TextFormatter())
    logging.captureWarnings(form == "json")
    logging.getLogger().setLevel(logging.DEBUG if _verbose else level.upper())
