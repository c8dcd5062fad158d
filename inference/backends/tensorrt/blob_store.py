"""Checked files in a folder of this user's alone: what is read is what this user wrote, whole."""

import hashlib
import logging
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from inference.engine.protocol import EngineError
from streams.base.atomic_file import write_atomic
from streams.base.trusted_files import distrust

logger = logging.getLogger(__name__)

_MAGIC = b"WEIR-BLOB-1\n"
_DIGEST = hashlib.sha256().digest_size
_LENGTH = 8
_HEADER = len(_MAGIC) + 2 * _DIGEST + _LENGTH


class BlobStore:
    """Bytes by name, written all at once.

    A file is a header (magic, SHA-256 of its identity, SHA-256 and length of the content) and the
    content. Whatever is wrong with one, it reads as absent, and the log says why. A plan can carry
    code for this machine, so neither folder nor file may be another user's, or writable by others.

    Args:
        folder: made where it is missing, for this user alone.

    Raises:
        EngineError: the folder is another user's, others may write to it, or it cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            fault = distrust(folder.stat())
        except OSError as error:
            raise EngineError(f"engine.cache_dir {folder}: {error.strerror}") from error
        if fault:
            raise EngineError(
                f"engine.cache_dir {folder} {fault}, and built engines can carry code: `chmod 700` "
                "and `chown` it, or choose another folder"
            )

    def read(self, name: str, identity: str) -> bytes | None:
        """Return the content that was written under this name and identity, or None."""
        path = self.folder / name
        try:
            with open(path, "rb", opener=_open_no_link) as file:
                fault = distrust(os.fstat(file.fileno()))
                if not fault:
                    return _unwrap(file.read(), identity)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            fault = str(error)
        logger.warning("ignoring the cached file %s, which %s", path, fault)
        return None

    def write(self, name: str, identity: str, content: bytes) -> None:
        """Write content under a name; another reader sees the old file or the new one, whole.

        Raises:
            OSError: it cannot be written; what was there before still is.
        """
        write_atomic(self.folder / name, _wrap(content, identity), mode=0o600)

    def touch(self, name: str) -> None:
        """Remember that a file was used just now, where that can be written down."""
        with suppress(OSError):
            os.utime(self.folder / name)

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        (self.folder / name).unlink(missing_ok=True)

    def evict(self, suffixes: Sequence[str], limit: int, keep: str) -> None:
        """Remove the longest unused files until those of some kinds hold at most `limit` bytes.

        Args:
            suffixes: of names, such as ``.plan``.
            limit: bytes.
            keep: files of this stem stay, however large.
        """
        files = []
        for path in self.folder.iterdir():
            with suppress(FileNotFoundError):  # another process may remove files, too
                state = path.stat()
                if path.suffix in suffixes:
                    files.append((state.st_mtime_ns, path, state.st_size))
        total = sum(size for _, _, size in files)
        for _, path, size in sorted(files):
            if total > limit and path.stem != keep:
                path.unlink(missing_ok=True)
                total -= size
                logger.info(
                    "deleted %s, unused for longest, to stay below engine.cache_limit_mb", path
                )


def _wrap(content: bytes, identity: str) -> bytes:
    name, digest = hashlib.sha256(identity.encode()), hashlib.sha256(content)
    length = len(content).to_bytes(_LENGTH, "big")
    return b"".join((_MAGIC, name.digest(), digest.digest(), length, content))


def _unwrap(data: bytes, identity: str) -> bytes:
    content = data[_HEADER:]
    if not data.startswith(_MAGIC):
        raise ValueError("was not written by Weir")
    if data[:_HEADER] == _wrap(content, identity)[:_HEADER]:
        return content
    named = data[len(_MAGIC) : len(_MAGIC) + _DIGEST]
    if named != hashlib.sha256(identity.encode()).digest():
        raise ValueError("was written for another model, GPU or version")
    raise ValueError("is damaged: its checksum differs")


def _open_no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW)
