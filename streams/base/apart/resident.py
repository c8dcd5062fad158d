"""A process apart that stays, and answers one question after another."""

import os
import selectors
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import monotonic
from types import MappingProxyType

from streams.base.apart.frames import HEADER, framed
from streams.base.apart.starter import Apart, Bounds, end_whole
from streams.base.closing import ClosedAtEnd

_READ = 1 << 16


class ResidentError(Exception):
    """It did not answer: it ended, took too long, or answered more than it may."""


class Resident(ClosedAtEnd):
    """Runs a module that calls `frames.answer_questions`, bounded as `Apart` bounds it.

    For one thread at a time. It is ended with the thread that made it, as the kernel sees to it.
    `Bounds.wall_s` counts for nothing here: each question has a time of its own.

    Args:
        name: see `Apart`.
        given: files in its working folder, by name.
        arguments: of the module.
        readable: files and folders elsewhere that it may read.
        most: bytes of an answer.

    Raises:
        NotStartedError, OSError: as `Apart.start`.
    """

    def __init__(
        self,
        name: str,
        bounds: Bounds,
        module: str,
        given: Mapping[str, bytes] = MappingProxyType({}),
        *,
        arguments: Sequence[str] = (),
        readable: Sequence[Path] = (),
        most: int = 1 << 28,
    ) -> None:
        self._most = most
        self._apart = Apart(name, bounds)
        try:
            for file, content in given.items():
                (self._apart.folder / file).write_bytes(content)
            process = self._apart.start(module, arguments, readable=readable, pipe=subprocess.PIPE)
        except BaseException:
            self._apart.close()
            raise
        assert process.stdin is not None
        assert process.stdout is not None
        self._process, self._to, self._from = process, process.stdin, process.stdout
        os.set_blocking(self._to.fileno(), False)
        os.set_blocking(self._from.fileno(), False)
        self._unsent = b""
        self._come = bytearray()

    def close(self) -> None:
        """End it."""
        end_whole(self._process)
        self._to.close()
        self._from.close()
        self._apart.close()

    def ask(self, question: bytes) -> None:
        """Begin to ask; `answer` waits for what it says."""
        self._unsent = framed(question)
        self._send()

    def answer(self, until: float) -> bytes:
        """What it says to the question that was asked.

        After an error it is of no more use: close it.

        Args:
            until: seconds of `monotonic`.

        Raises:
            ResidentError: it does not answer.
            NotStartedError: it could not be bounded, and has run nothing.
        """
        while (answer := self.answer_now(until - monotonic())) is None:
            if monotonic() > until:
                raise ResidentError("it did not answer in time")
        return answer

    def answer_now(self, within_s: float = 0.0) -> bytes | None:
        """As `answer`, or None where more has to come first."""
        with selectors.DefaultSelector() as ready:
            ready.register(self._from, selectors.EVENT_READ)
            if self._unsent:
                ready.register(self._to, selectors.EVENT_WRITE)
            came = {key.fileobj for key, _ in ready.select(max(within_s, 0.0))}
        if self._to in came:
            self._send()
        if self._from in came:
            self._receive()
        return self._whole()

    def _send(self) -> None:
        try:
            self._unsent = self._unsent[os.write(self._to.fileno(), self._unsent) :]
        except BlockingIOError:
            pass
        except BrokenPipeError:
            self._unsent = b""  # it has ended; reading says so

    def _receive(self) -> None:
        try:
            part = os.read(self._from.fileno(), _READ)
        except BlockingIOError:
            return
        if not part:
            end_whole(self._process)
            raise ResidentError(f"it {self._apart.ended(self._process, overstayed=False)}")
        self._come += part

    def _whole(self) -> bytes | None:
        if len(self._come) < HEADER.size:
            return None
        (size,) = HEADER.unpack_from(self._come)
        if size > self._most:
            raise ResidentError(f"it answers with {size:,} bytes")
        if len(self._come) < HEADER.size + size:
            return None
        answer = bytes(self._come[HEADER.size :])
        if len(answer) > size:
            raise ResidentError("it says more than it was asked")
        self._come.clear()
        return answer
