"""Landlock: which files a process apart may read and write; all others are closed to it.

Needs no rights. Only the standard library, since it runs before everything else.
"""

import ctypes
import os
import stat
import struct
from collections.abc import Iterable

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_VERSION_ONLY = 1
_BELOW_PATH = 1
_WRITE_FILE, _READ_FILE, _READ_DIR, _TRUNCATE = 1 << 1, 1 << 2, 1 << 3, 1 << 14
_RIGHTS = {1: 13, 2: 14, 3: 15, 5: 16}
"""Since which version the kernel knows so many rights."""
_TCP_SINCE, _TCP = 4, 0b11
_SCOPES_SINCE, _SCOPES = 6, 0b11
"""No signals to others, and no sockets of others that have a name without a file."""


def version() -> int:
    """The kernel's, 0 where it has none."""
    found: int = ctypes.CDLL(None).syscall(_CREATE, None, 0, _VERSION_ONLY)
    return max(0, found)


def restrict(readable: Iterable[str], listable: Iterable[str], writable: Iterable[str]) -> None:
    """Close all files to this process, of one thread, but these; it may get no new rights.

    What is open stays so. A path that is not there is left out.

    Args:
        readable: files, and folders with all that is below.
        listable: folders whose names may be read, with those below.
        writable: files that are there.

    Raises:
        OSError: the kernel refuses it.
    """
    known = version()
    rights = (1 << max(count for since, count in _RIGHTS.items() if since <= known)) - 1
    wanted = struct.pack(
        "=QQQ", rights, _TCP if known >= _TCP_SINCE else 0, _SCOPES if known >= _SCOPES_SINCE else 0
    )
    size = 24 if known >= _SCOPES_SINCE else 16 if known >= _TCP_SINCE else 8
    rules = _call(_CREATE, ctypes.c_char_p(wanted), ctypes.c_size_t(size), 0)
    for path in readable:
        _allow(rules, path, _READ_FILE | _READ_DIR)
    for path in listable:
        _allow(rules, path, _READ_DIR)
    for path in writable:
        _allow(rules, path, (_READ_FILE | _WRITE_FILE | _TRUNCATE) & rights)
    _call(_RESTRICT, rules, 0)
    os.close(rules)


def _allow(rules: int, path: str, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            rights &= ~_READ_DIR
        _call(_ADD, rules, _BELOW_PATH, ctypes.c_char_p(struct.pack("=Qi", rights, place)), 0)
    finally:
        os.close(place)


def _call(number: int, *arguments: object) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    answer: int = libc.syscall(ctypes.c_long(number), *arguments)
    if answer < 0:
        raise OSError(ctypes.get_errno(), "Landlock refuses a rule")
    return answer
