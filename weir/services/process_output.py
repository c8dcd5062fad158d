"""What several processes say, on one stream: whole lines, each under the name of its process."""

from collections.abc import Sequence
from contextlib import suppress
from threading import Lock
from time import time
from typing import IO, TextIO

from streams.base.safe_text import safe_text
from weir.config.logs import json_line

_COLOURS = (36, 33, 35, 32, 34, 31)
"""ANSI's cyan, yellow, magenta, green, blue, red."""
_LONGEST_LINE = 1_048_576
"""Bytes; what is longer is broken, so that a process that never ends a line fills no memory."""


class ProcessOutput:
    """Copies lines of processes to a stream.

    Args:
        names: of the processes; they set the width of the column of names.
        coloured: each name has a colour of its own.
        as_json: a line is a JSON object, which says itself whose it is, and stays as it came; any
            other line, such as one of a crash, is wrapped into one.
    """

    def __init__(
        self, stream: TextIO, names: Sequence[str], *, coloured: bool, as_json: bool
    ) -> None:
        self._stream = stream
        self._as_json = as_json
        self._lock = Lock()
        width = max(map(len, names))
        self._prefixes = {name: f"{name:<{width}} | " for name in names}
        if coloured:
            for number, (name, prefix) in enumerate(self._prefixes.items()):
                colour = _COLOURS[number % len(_COLOURS)]
                self._prefixes[name] = f"\x1b[{colour}m{prefix}\x1b[0m"

    def copy(self, name: str, source: IO[bytes]) -> None:
        """Copy a process's output to its end."""
        with source:
            for line in iter(lambda: source.readline(_LONGEST_LINE), b""):
                # Whoever read our stream may have left. A process whose output nobody takes would
                # stand still, so we go on taking it.
                with suppress(OSError, ValueError), self._lock:
                    text = line.decode(errors="replace").rstrip("\r\n")
                    self._stream.write(f"{self._marked(name, text)}\n")
                    self._stream.flush()

    def _marked(self, name: str, line: str) -> str:
        if not self._as_json:
            return self._prefixes[name] + safe_text(line)
        if line.startswith("{"):
            return safe_text(line)
        return json_line(name, line, seconds=time())
