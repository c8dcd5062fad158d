"""How the kernels are compiled, and when what is on disk of them is out of date.

That the file of a function is the same does not mean that those are which it imports from: a kernel
would go on with the old layout of a block. So every file of the folder counts, and each version has
files of its own: two programs of different age that run side by side do not find each other's.
"""

from hashlib import sha256
from pathlib import Path

from numba import njit

from streams.base.compiled_code import kept_njit


def version_of(folder: Path) -> str:
    """Return a short digest of the Python files in a folder."""
    digest = sha256()
    for file in sorted(folder.glob("*.py")):
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()[:16]


_VERSION = version_of(Path(__file__).parent)


kernel = kept_njit(_VERSION, nogil=True, _nrt=False)
"""For a function that is compiled at its first call, or loaded from disk.

The kernels allocate nothing, so that reference counting is left out: its atomic operations, at
every call and every unpacked tuple, took half of the time.
"""

inlined = njit(nogil=True, _nrt=False, inline="always")
"""For what is called for each event: compiled into its caller, for the same reason."""
