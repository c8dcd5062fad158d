"""Packages are tried before they serve: whoever may write to the registry may have made them.

What an import checks of a file is checked of a package's graphs again, and they are loaded and run
as an engine would, in a process apart. A graph that crashes the runtime, takes all memory or never
ends is a refusal.
"""

import io
import json
import os
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import numpy as np

from inference.backends.tensorrt.errors import BuildCancelledError
from inference.importing.static.limits import Limits
from inference.importing.static.refusal import ImportRefusedError
from inference.packages.mlflow_connection import RegistryAwayError
from inference.packages.package import MODEL, TENSORS, ModelPackage, PackageError
from streams.base.apart.starter import Apart, ApartStoppedError, Bounds, Ended
from streams.base.atomic_file import write_atomic
from streams.base.trusted_files import distrust

LIMITS = Limits(file_mb=2_048, memory_mb=4_096, seconds=60)
_BOUNDS = Bounds(
    cpu_s=LIMITS.seconds, wall_s=3 * LIMITS.seconds, memory_mb=LIMITS.memory_mb, file_mb=64, nice=5
)
_ROWS = 256
_RESULT = "result.json"


class PackageTrials:
    """Tries packages, each once: what was found good is remembered, by the package's id.

    Args:
        folder: where that is written down for the next start; None for nowhere. It is believed only
            if nobody else can write there.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._good: set[str] = set()

    def __call__(self, package: ModelPackage, stopped: Callable[[], bool] = lambda: False) -> None:
        """Return if a package may be loaded here.

        Args:
            stopped: asked now and then whether to give up.

        Raises:
            PackageError: it may not; the message says why.
            RegistryAwayError: this machine can't start a process now; it is worth asking again.
            BuildCancelledError: `stopped` said so.
        """
        if package.id in self._good or self._noted(package):
            self._good.add(package.id)
            return
        try:
            _try(package, stopped)
        except ApartStoppedError:
            raise BuildCancelledError("told to stop while a model was tried") from None
        except OSError as error:
            raise RegistryAwayError(
                f"model {package.short_id} can't be tried on this machine now: {error}"
            ) from error
        self._good.add(package.id)
        self._note(package)

    def _noted(self, package: ModelPackage) -> bool:
        if self._folder is None:
            return False
        note = self._folder / package.id
        try:
            believed = not any(distrust(os.lstat(each)) for each in (self._folder, note))
            return believed and note.read_text(encoding="utf-8") == _tried_with()
        except (OSError, ValueError):
            return False

    def _note(self, package: ModelPackage) -> None:
        if self._folder is None:
            return
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomic(self._folder / package.id, _tried_with().encode())
        except OSError:
            pass  # then the next start tries it again


def _tried_with() -> str:
    """What a trial depends on beside the package."""
    return f"onnxruntime {version('onnxruntime')}, onnx {version('onnx')}, limits {asdict(LIMITS)}"


def _try(package: ModelPackage, stopped: Callable[[], bool]) -> None:
    rows = io.BytesIO()
    np.save(rows, package.background[:_ROWS], allow_pickle=False)
    given = {MODEL: package.model, "rows.npy": rows.getvalue()}
    if package.tensors is not None:
        given[TENSORS] = package.tensors
    graphs = [name for name in (MODEL, TENSORS) if name in given]
    task = {"do": "package", "graphs": graphs, "limits": asdict(LIMITS)}
    with Apart("package", _BOUNDS) as apart:
        for name, content in (given | {"task.json": json.dumps(task).encode()}).items():
            (apart.folder / name).write_bytes(content)
        ended = apart.run("inference.importing.sandbox.child", outputs=[_RESULT], stopped=stopped)
        found = apart.read(_RESULT)
    if problem := _problem(ended, found):
        raise PackageError(
            f"model {package.short_id} was tried before it serves, and refused: {problem}. It is "
            "no package of `weir train` or `weir models import`, or was made for another Weir"
        )


def _problem(ended: Ended, found: bytes) -> str:
    """What is wrong with a package; empty where nothing is."""
    if ended.overstayed or ended.took_all_cpu:
        return f"it took more than {LIMITS.seconds} s to load and to answer a few batches"
    try:
        result = json.loads(found)
        if result == {"done": {}}:
            return ""
        refusal = ImportRefusedError(**result["refused"])
    except (ValueError, KeyError, TypeError):
        return f"the process that tried it {ended}"
    return ": ".join(part for part in (refusal.place, refusal.problem) if part)
