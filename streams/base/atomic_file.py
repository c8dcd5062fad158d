"""Files that appear whole or not at all, whoever is killed and wherever the disk is full."""

import errno
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import time
from typing import BinaryIO

_NAME = re.compile(r"\.weir-[0-9a-f]{16}\.partial")
_ABANDONED_S = 3_600.0
"""Nobody is silent for an hour while writing a file."""
_OF_THE_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS}
"""The system names no file with these where it is already open."""


@contextmanager
def atomic_file(
    path: Path, *, mode: int | None = None, replace: bool = True, durable: bool = True
) -> Iterator[BinaryIO]:
    """Open a file for writing bytes; it takes its name when the block ends without an error.

    Until then it has a hidden name beside it, which no other writer has. What a killed process left
    behind under such a name is removed by whoever writes into that folder an hour later.

    Args:
        mode: permissions; None for those of the file that is replaced, or for the system's usual.
        replace: whether a file that is there gives way; else it stays, and the new one does not
            appear.
        durable: whether it outlasts a power cut once the block has ended.

    Raises:
        FileExistsError: there is one, and it is not to be replaced.
        OSError: it can't be written; what was there is as it was. The error names `path`.
    """
    partial = path.with_name(f".weir-{secrets.token_hex(8)}.partial")
    _remove_abandoned(path.parent)

    def private(name: str, flags: int) -> int:
        return os.open(name, flags | os.O_NOFOLLOW, 0o666 if mode is None else mode)

    try:
        with open(partial, "xb", opener=private) as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        if mode is None and path.exists():
            shutil.copymode(path, partial)
        if replace:
            os.replace(partial, path)
        else:
            os.link(partial, path)
        if durable:
            _sync_folder(path.parent)
    except OSError as error:
        if error.errno in _OF_THE_DISK or error.filename == str(partial):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    finally:
        with suppress(OSError):
            partial.unlink()


def write_atomic(
    path: Path, data: bytes, *, mode: int | None = None, replace: bool = True, durable: bool = True
) -> None:
    """Write a whole file; see `atomic_file`."""
    with atomic_file(path, mode=mode, replace=replace, durable=durable) as file:
        file.write(data)


def is_partial(path: Path) -> bool:
    """Whether this is the hidden name of a file that is being written, or that was left behind."""
    return _NAME.fullmatch(path.name) is not None


def _remove_abandoned(folder: Path) -> None:
    with suppress(OSError):  # others may remove files, too, or the folder is not ours to tidy
        for entry in os.scandir(folder):
            if is_partial(Path(entry.name)) and entry.stat().st_mtime < time() - _ABANDONED_S:
                os.unlink(entry.path)


def _sync_folder(folder: Path) -> None:
    """The name, too, is to outlast a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
