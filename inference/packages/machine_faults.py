"""Telling a registry that is away from what is wrong with this machine, such as a full disk."""

import errno
import os

_OURS = {
    code: os.strerror(code)
    for code in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EMFILE, errno.ENFILE)
}
"""What is wrong with this machine, and how it is said where an error was turned into words."""
_DENIED = (errno.EACCES, errno.EPERM)
_DATABASE_FULL = "database or disk is full"


def machine_fault(error: Exception, downloading: bool) -> str | None:
    """What is wrong with this machine; None where the registry may be away.

    MLflow hides what goes wrong in a download behind errors of its own, or makes words of it, as
    SQLite does of a full disk.

    Args:
        downloading: whether a full disk that is only spoken of can't be the server's.
    """
    words = [_DATABASE_FULL, *(_OURS.values() if downloading else ())]
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in (*_OURS, *_DENIED):
            return str(cause)
        for line in str(cause).splitlines():
            if any(each in line for each in words):
                return line.strip()
        cause = cause.__cause__ or cause.__context__
    return None
