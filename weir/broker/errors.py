"""What goes wrong with the local broker, in words that name the fix."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streams.base.errors import WeirError


class BrokerError(WeirError):
    """The local broker cannot do what was asked; the message says why and what to do."""


class PortInUseError(BrokerError):
    """Another program listens on a port that the broker needs."""


@contextmanager
def explain_os_errors(folder: Path, key: str) -> Iterator[None]:
    """Turn an `OSError` on files in `folder`, which setting `key` names, into a `BrokerError`."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            why = "no space left on the disk: free some"
        elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            why = "not writable: change its permissions"
        elif error.errno in (errno.ENOTDIR, errno.EEXIST):
            why = "a file is where a folder should be: move it away"
        else:
            why = f"{error.strerror or error}: check the path"
        raise BrokerError(f"{folder}: {why}, or set `{key}` to another folder") from error
