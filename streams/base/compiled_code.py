"""Where compiled code is kept, so that the next start does not compile it again.

By itself numba keeps it beside the sources or in the user's home, and refuses to import a function
where it can write to neither, as in a container whose root is read-only. Here code is read from
where it lies, and what has to be compiled is kept in the first folder that takes it, or nowhere.
numba comes in only where something is compiled: `keep_in` is for everybody who reads settings.
"""

import inspect
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

from streams.base.trusted_files import distrust

logger = logging.getLogger(__name__)

_data_folder: Path | None = None
_refused: dict[Path, str] = {}
"""Folders that did not take what was compiled, and why."""
_said = False


def keep_in(folder: Path) -> None:
    """Keep compiled code in this folder where that is not possible beside the sources.

    It is made when something is to be kept, for this user alone.
    """
    global _data_folder
    _data_folder = folder


def kept_njit(version: str | None = None, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """`numba.njit` with these options, whose code is kept; see `CompiledCode`."""
    from numba import njit

    def compiled(function: Callable[..., Any]) -> Any:
        dispatcher = njit(**options)(function)
        dispatcher._cache = CompiledCode(function, version)
        return dispatcher

    return compiled


class CompiledCode:
    """The code of one function, in the way that numba asks for it.

    Args:
        version: code of another one is not used; None for a digest of the function's own file.
    """

    def __init__(self, function: Callable[..., Any], version: str | None = None) -> None:
        self._function = function
        self._file = Path(inspect.getfile(function))
        self._version = version or sha256(self._file.read_bytes()).hexdigest()[:16]
        self._beside = self._file.parent / "__pycache__"

    @property
    def cache_path(self) -> str:
        """Where numba's reports say that the code is kept."""
        return str(next(self._folders()))

    def load_overload(self, signature: Any, target: Any) -> Any:
        """The code for a signature, or None; what can't be read is compiled again."""
        for folder in self._folders():
            try:
                if self._is_ours(folder) and (fault := distrust(folder.stat())):
                    _refused[folder] = f"it {fault}"
                    continue
                found = self._in(folder).load_overload(signature, target)
            except FileNotFoundError:
                continue
            except Exception as error:  # half a file, say: pickle has many ways to refuse it
                logger.debug("ignoring the compiled code in %s: %s", folder, error)
                with suppress(OSError):
                    self._in(folder).flush()
                continue
            if found is not None:
                return found
        return None

    def save_overload(self, signature: Any, compiled: Any) -> None:
        """Keep code where that is possible; where it is nowhere, say so once."""
        for folder in self._folders():
            if folder in _refused:
                continue
            try:
                mode = 0o700 if self._is_ours(folder) else 0o777
                folder.mkdir(mode, parents=True, exist_ok=True)
                self._in(folder).save_overload(signature, compiled)
                return
            except Exception as error:
                _refused[folder] = getattr(error, "strerror", None) or str(error)
        _say_that_none_is_kept()

    def _folders(self) -> Iterator[Path]:
        from numba.core import config

        if config.CACHE_DIR:  # NUMBA_CACHE_DIR
            yield Path(config.CACHE_DIR) / self._function.__module__
            return
        yield self._beside
        if _data_folder is not None:
            yield _data_folder / self._function.__module__

    def _is_ours(self, folder: Path) -> bool:
        """Whether it is in the data folder, where nobody but this user has code to put."""
        return _data_folder is not None and folder.parent == _data_folder

    def _in(self, folder: Path) -> Any:
        """numba's own cache of the function, in this folder."""
        from numba.core import caching

        file, version, line = self._file, self._version, self._function.__code__.co_firstlineno

        class Locator:
            _py_file = str(file)

            @classmethod
            def from_function(cls, _function: Any, _file: str) -> "Locator":
                return cls()

            def ensure_cache_path(self) -> None:
                """Nothing: whoever saves makes the folder."""

            def get_cache_path(self) -> str:
                return str(folder)

            def get_source_stamp(self) -> str:
                return version

            def get_disambiguator(self) -> str:
                return f"{line}.{version}"

        class Code(caching.CompileResultCacheImpl):  # type: ignore[misc]
            _locator_classes = [Locator]  # noqa: RUF012

        class Cache(caching.FunctionCache):  # type: ignore[misc]
            _impl_class = Code

        return Cache(self._function)


def _say_that_none_is_kept() -> None:
    global _said
    if not _said:
        _said = True
        folders = "; ".join(f"{folder}: {reason}" for folder, reason in _refused.items())
        logger.warning(
            "compiled code can't be kept (%s), so each start compiles it again, which takes some "
            "ten seconds: let this user write to data_dir, or set NUMBA_CACHE_DIR",
            folders,
        )
