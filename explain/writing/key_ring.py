"""The keys of all subjects, and erasure by the destruction of a key.

Each subject (a card, a device, an address) has a random data key of its own, with which is made
what stands for it in records (`explain.writing.subject`). A subject is erased by the destruction of
its key, wherever its records stand.

The ring is one flat file, so that a key lies in one place and can be overwritten there: 64 bytes
of header, then 64 for each subject, a locator (the HMAC of the identifier under the ring's own
key) and the data key. Zeros are an erased subject.
"""

import errno
import hashlib
import hmac
import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from explain.errors import ExplainError
from explain.writing.subject import Subject, open_place
from streams.base.atomic_file import write_atomic
from streams.base.closing import ClosedAtEnd
from streams.base.file_lock import hold_lock

_KEY = 32
_SLOT = 2 * _KEY
_HEADER = b"weir key ring 1\n".ljust(_KEY, b"\0")
_ERASED = bytes(_SLOT)
_OTHERS = 0o077
_SLOTS_AT_ONCE = 4096

_LOCATOR = b"weir.locator\0"


class KeyRingError(ExplainError):
    """The ring can't be used, or is not kept secret."""


class KeyRing(ClosedAtEnd):
    """The data keys of all subjects, shared by the processes of one machine.

    Nothing of the keys is kept in memory between calls, so that what one process erases is gone
    for all. Several threads may call it; a forked child opens it anew, since a lock on the file is
    common to both.

    Args:
        path: the file; `make` writes a new one.

    Raises:
        KeyRingError: there is no such file, it is no key ring, or others may read it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise KeyRingError(
                f"{path}: there is no key ring: make one with `weir tokens make`, or put back the "
                "copy of one that was there, since a new one gives everybody other tokens"
            ) from error
        except OSError as error:
            raise KeyRingError(f"{path}: can't be opened: {error.strerror}") from error
        try:
            self._ring_key = self._check()
        except BaseException:
            os.close(self._file)
            raise
        self._places: dict[bytes, int] = {}
        self._read = _SLOT
        self._lock = threading.Lock()

    @classmethod
    def make(cls, path: Path) -> Self:
        """Write a new ring, which only its owner may read, and open it.

        Raises:
            KeyRingError: there is a file already, or it can't be written.
        """
        header = _HEADER + secrets.token_bytes(_KEY)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                write_atomic(path, header, mode=0o600, replace=False)
            except FileExistsError:
                raise KeyRingError(
                    f"{path} is there already: open it, or name another file"
                ) from None
        except OSError as error:
            raise KeyRingError(f"{path}: can't be written: {error.strerror}") from error
        return cls(path)

    def subject(self, field: str, value: int | str) -> Subject:
        """A subject with its key; one that is new gets a key.

        It is the same in every process and at every time, until the subject is erased. Whoever
        keeps it keeps the key: let go of it once the record is made.

        Args:
            field: which identifier it is, such as ``card_id``.
            value: the identifier; ``5`` and ``"5"`` are the same one.

        Raises:
            KeyRingError: the ring can't be written.
        """
        name = _name(field, value)
        locator = self._locator(name)
        with self._locked(shared=True):
            key = self._find(locator)
        if key is None:
            with self._locked(shared=False):
                key = self._find(locator) or self._append(locator)
        return Subject(name, key)

    def known(self, field: str, value: int | str) -> str | None:
        """The token of a subject that has one; None for one that is new, or was erased."""
        name = _name(field, value)
        with self._locked(shared=True):
            key = self._find(self._locator(name))
        return None if key is None else Subject(name, key).token

    def open_place(self, topic: str, place: str) -> tuple[int, int] | None:
        """Partition and offset of a sealed place in a topic; None if no key here has sealed it.

        Whose it is nobody has to know: all keys are tried, at some 7 µs each.
        """
        at = _SLOT
        while True:
            with self._locked(shared=True):
                slots = self._slots(at)
            if not slots:
                return None
            for slot in slots:
                opened = None if slot == _ERASED else open_place(slot[_KEY:], topic, place)
                if opened is not None:
                    return opened
            at += _SLOT * len(slots)

    def erase(self, field: str, value: int | str) -> bool:
        """Destroy the key of a subject; False if it had none.

        Its token can't be computed any more, nor be told to be its own, and nothing opens the
        places of its events. Should the subject come back, it gets another token. Copies of the
        ring, such as backups, are not reached.

        Raises:
            KeyRingError: the ring can't be written.
        """
        locator = self._locator(_name(field, value))
        with self._locked(shared=False):
            if self._find(locator) is None:
                return False
            self._write(_ERASED, self._places.pop(locator))
            return True

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def __repr__(self) -> str:
        return f"KeyRing({str(self.path)!r})"

    def _check(self) -> bytes:
        """Return the ring's own key, if the file is one and is kept secret."""
        state = os.fstat(self._file)
        if state.st_uid != os.geteuid():
            raise KeyRingError(
                f"{self.path} belongs to user {state.st_uid}: run as that user, or `chown` it"
            )
        if state.st_mode & _OTHERS:
            raise KeyRingError(
                f"{self.path} may be read or written by others, and who reads it can tell whose "
                f"token is whose: `chmod 600 {self.path}`"
            )
        header = os.pread(self._file, _SLOT, 0)
        if len(header) < _SLOT or header[:_KEY] != _HEADER:
            raise KeyRingError(f"{self.path} is no key ring of this version: name another file")
        return header[_KEY:]

    def _locator(self, name: bytes) -> bytes:
        return hmac.digest(self._ring_key, _LOCATOR + name, hashlib.sha256)

    def _find(self, locator: bytes) -> bytes | None:
        """The data key at a locator; the file is locked."""
        key = self._look_up(locator)
        if key is None:
            self._read_on()
            key = self._look_up(locator)
        return key

    def _look_up(self, locator: bytes) -> bytes | None:
        place = self._places.get(locator)
        if place is None:
            return None
        slot = os.pread(self._file, _SLOT, place)
        if slot[:_KEY] == locator:
            return slot[_KEY:]
        del self._places[locator]  # another process erased it
        return None

    def _read_on(self) -> None:
        """Take in what other processes have appended."""
        while slots := self._slots(self._read):
            for slot in slots:
                self._places[slot[:_KEY]] = self._read
                self._read += _SLOT

    def _slots(self, place: int) -> list[bytes]:
        """Those from a place in the file on, a few thousand at most; not what is half written."""
        read = os.pread(self._file, _SLOT * _SLOTS_AT_ONCE, place)
        return [read[at : at + _SLOT] for at in range(0, len(read) - _SLOT + 1, _SLOT)]

    def _append(self, locator: bytes) -> bytes:
        """Give a locator a key; the file is locked and all of it was read."""
        key = secrets.token_bytes(_KEY)
        self._write(locator + key, self._read)
        self._places[locator] = self._read
        self._read += _SLOT
        return key

    def _write(self, slot: bytes, place: int) -> None:
        try:
            if os.pwrite(self._file, slot, place) < _SLOT:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._file)
        except OSError as error:
            raise KeyRingError(f"{self.path}: can't be written: {error.strerror}") from error

    @contextmanager
    def _locked(self, *, shared: bool) -> Iterator[None]:
        """Keep other threads away, and processes by a lock on the file."""
        with self._lock, hold_lock(self._file, shared=shared):
            yield


def _name(field: str, value: int | str) -> bytes:
    """A field and a value as bytes that no other pair has."""
    name = field.encode()
    return len(name).to_bytes(4, "big") + name + str(value).encode()
