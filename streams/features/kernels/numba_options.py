"""How the kernels are compiled, and when what is on disk of them is out of date.

numba's cache asks only whether the file of a function has changed, not those that the function
imports from: a kernel would go on with the old layout of a block. Here every file of the folder
counts, and each version has files of its own, so that two programs of different age that run side
by side do not find each other's.
"""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

from numba import njit
from numba.core.caching import IndexDataCacheFile


def version_of(folder: Path) -> str:
    """Return a short digest of the Python files in a folder."""
    digest = sha256()
    for file in sorted(folder.glob("*.py")):
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()[:16]


_VERSION = version_of(Path(__file__).parent)


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a function at its first call, or load it from disk.

    The kernels allocate nothing, so that reference counting is left out: its atomic operations, at
    every call and every unpacked tuple, took half of the time.
    """
    dispatcher = njit(cache=True, nogil=True, _nrt=False)(function)
    cache = dispatcher._cache
    cache._cache_file = IndexDataCacheFile(
        cache_path=cache.cache_path,
        filename_base=f"{cache._impl.filename_base}.{_VERSION}",
        source_stamp=_VERSION,
    )
    return dispatcher


inlined = njit(nogil=True, _nrt=False, inline="always")
"""For what is called for each event: compiled into its caller, for the same reason."""
