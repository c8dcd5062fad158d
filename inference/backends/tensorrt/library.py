"""Loads ``tensorrt`` or ``tensorrt_rtx``, which share one Python API, when they are needed."""

import importlib
import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from inference.engine.protocol import EngineError

logger = logging.getLogger(__name__)

Flavour = Literal["tensorrt", "tensorrt_rtx"]

_OLDEST: dict[Flavour, tuple[int, int]] = {"tensorrt": (10, 13), "tensorrt_rtx": (1, 2)}
_EXTRA: dict[Flavour, str] = {"tensorrt": "gpu", "tensorrt_rtx": "gpu-rtx"}

_MOST_ERRORS = 16

_loggers: dict[Flavour, Any] = {}
_loggers_lock = threading.Lock()


class LibraryMissingError(EngineError):
    """The library is not installed, or too old."""


@dataclass(frozen=True)
class Library:
    """A loaded library.

    Attributes:
        flavour: which of the two.
        version: its own.
        module: the Python module; typed loosely, since it is not installed everywhere.
        logger: what its objects are made with; `take_errors` of it returns this thread's errors.
    """

    flavour: Flavour
    version: str
    module: Any
    logger: Any


def load_library(flavour: Flavour, load: Callable[[str], Any] = importlib.import_module) -> Library:
    """Import a flavour of TensorRT. Before running an engine, ask `driver.probe`.

    Raises:
        LibraryMissingError: it is not installed, or older than what this code needs.
    """
    install = f"install it with `pip install weir[{_EXTRA[flavour]}]`"
    try:
        module = load(flavour)
    except ImportError as error:
        raise LibraryMissingError(
            f"the package {flavour} is not installed ({error}): {install}"
        ) from error
    version = str(module.__version__)
    if tuple(int(part) for part in version.split(".")[:2]) < _OLDEST[flavour]:
        oldest = ".".join(map(str, _OLDEST[flavour]))
        raise LibraryMissingError(f"{flavour} {version} is older than {oldest}: {install}")
    return Library(flavour, version, module, _logger_of(flavour, module))


def _logger_of(flavour: Flavour, module: Any) -> Any:
    """The library's one logger: it keeps the first that it is given for the process's life."""
    with _loggers_lock:
        if flavour not in _loggers:
            _loggers[flavour] = _new_logger(flavour, module)
        return _loggers[flavour]


def _new_logger(flavour: Flavour, module: Any) -> Any:
    severity = module.ILogger.Severity
    levels = {
        severity.INTERNAL_ERROR: logging.WARNING,
        severity.ERROR: logging.WARNING,  # what failed raises an error of its own
        severity.WARNING: logging.INFO,
    }

    class Forward(module.ILogger):  # type: ignore[misc]
        """Hands the library's messages to Python's logging, and keeps a thread's errors."""

        def __init__(self) -> None:
            super().__init__()
            self._kept = threading.local()

        def log(self, severity: Any, message: str) -> None:
            level = levels.get(severity, logging.DEBUG)
            logger.log(level, "%s: %s", flavour, message)
            if level == logging.WARNING:
                kept = self._kept.__dict__.setdefault("errors", deque(maxlen=_MOST_ERRORS))
                kept.append(message)

        def take_errors(self) -> str:
            """Return this thread's errors since the last time as one line."""
            errors = self._kept.__dict__.pop("errors", ())
            return "; ".join(dict.fromkeys(errors)) or "it does not say why"

    return Forward()
