"""A process apart that stays, and answers one question after another."""

import os
import selectors
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from types import MappingProxyType

from streams.base.apart.frames import HEADER, framed
from streams.base.apart.priority import stand_back_as_session
from streams.base.apart.starter import Apart, Bounds, end_whole
from streams.base.closing import ClosedAtEnd

_READ = 1 << 16


class ResidentError(Exception):
    """It did not answer: it ended, took too long, or answered more than it may."""


@dataclass(frozen=True)
class Answer:
    """What one says, or why not; and when that was there, seconds of `monotonic`."""

    said: bytes | Exception
    at: float


def answers(asked: "Sequence[Resident]", until: float) -> list[Answer]:
    """What each of those that were asked says, all heard at once: none waits for another.

    Args:
        until: seconds of `monotonic`; who has not answered by then never did.
    """
    found: dict[int, Answer] = {}
    while True:
        for place, resident in enumerate(asked):
            if place not in found:
                try:
                    said = resident.answer_now()
                except (ResidentError, OSError) as error:
                    found[place] = Answer(error, monotonic())
                else:
                    if said is not None:
                        found[place] = Answer(said, monotonic())
        left = until - monotonic()
        if len(found) == len(asked) or left <= 0:
            break
        with selectors.DefaultSelector() as ready:
            for place, resident in enumerate(asked):
                if place not in found:
                    resident.register(ready)
            ready.select(left)
    late = Answer(ResidentError("it did not answer in time"), monotonic())
    return [found.get(place, late) for place in range(len(asked))]


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

    def stand_back(self, niceness: int) -> None:
        """Leave the processors to others from now on, between sessions too."""
        stand_back_as_session(self._process.pid, niceness)

    def ask(self, question: bytes) -> None:
        """Begin to ask; `answers` waits for what it says."""
        self._unsent = framed(question)
        self._send()

    def answer_now(self) -> bytes | None:
        """What it says to the question that was asked; None where it has not said all of it yet.

        After an error it is of no more use: close it.

        Raises:
            ResidentError: it does not answer.
            NotStartedError: it could not be bounded, and has run nothing.
        """
        if self._unsent:
            self._send()
        self._receive()
        return self._whole()

    def register(self, ready: selectors.BaseSelector) -> None:
        """Have a selector wait for what lets `answer_now` go on."""
        ready.register(self._from, selectors.EVENT_READ)
        if self._unsent:
            ready.register(self._to, selectors.EVENT_WRITE)

    def _send(self) -> None:
        try:
            self._unsent = self._unsent[os.write(self._to.fileno(), self._unsent) :]
        except BlockingIOError:
            pass
        except BrokenPipeError:
            self._unsent = b""  # it has ended; reading says so

    def _receive(self) -> None:
        """Take all that has come, of an answer that is not too long."""
        while len(self._come) <= self._most + HEADER.size:
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
