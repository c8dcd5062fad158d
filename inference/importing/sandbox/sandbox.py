"""Models that nobody has vouched for are loaded and run in a process of their own.

A hostile or damaged graph can crash the runtime, ask for all memory or never end. There that is an
error message; here it would be the end of whoever imports.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.importing.sandbox.inspection import Inspection, Request
from inference.importing.static.check import Check
from inference.importing.static.limits import Limits
from inference.importing.static.refusal import ImportRefusedError

_CHUNK = 8_192
"""Rows per call: bounds the memory of the graph's intermediates."""


def inspect_apart(
    path: Path, request: Request, seen: NDArray[np.float32] | None = None
) -> tuple[bytes, Inspection]:
    """Do what `inspection.inspect` does, in a process that may die of it.

    Returns:
        The core as bytes, and what was found.

    Raises:
        ImportRefusedError: as there, or that process ended otherwise; the file is named.
    """
    task = {"do": "inspect", "file": str(path.absolute()), "request": asdict(request)}
    with tempfile.TemporaryDirectory(prefix="weir-import-") as temporary:
        folder = Path(temporary)
        if seen is not None:
            np.save(folder / "rows.npy", seen, allow_pickle=False)
        found = _do(folder, task, request.limits, str(path))
        core = (folder / "core.onnx").read_bytes()
    checks = tuple(Check(*check) for check in found.pop("checks"))
    features = tuple(found.pop("features"))
    return core, Inspection(**found, features=features, checks=checks)


def run_apart(
    model: bytes, rows: NDArray[np.float32], outputs: Sequence[str], limits: Limits, file: str
) -> dict[str, NDArray[np.float32]]:
    """Check a graph that reads ``features``, and return outputs of it for rows (n, k), n > 0.

    Args:
        limits: of which the time grows by a second for each thousand rows.
        file: what messages call it.

    Raises:
        ImportRefusedError: it does not answer.
    """
    limits = replace(limits, seconds=limits.seconds + len(rows) // 1_000)
    task = {"do": "run", "outputs": list(outputs), "chunk": _CHUNK}
    with tempfile.TemporaryDirectory(prefix="weir-import-") as temporary:
        folder = Path(temporary)
        (folder / "model.onnx").write_bytes(model)
        np.save(folder / "rows.npy", np.ascontiguousarray(rows), allow_pickle=False)
        _do(folder, task, limits, file)
        return {name: np.load(folder / f"{name}.npy", allow_pickle=False) for name in outputs}


def tensor_form_apart(model: bytes, limits: Limits, file: str) -> tuple[bytes | None, str | None]:
    """Do what `plain_form_or_why_not` of `plain_operators` does, in a process that may die of it.

    Args:
        file: what messages call the model.

    Raises:
        ImportRefusedError: that process ended otherwise.
    """
    with tempfile.TemporaryDirectory(prefix="weir-import-") as temporary:
        folder = Path(temporary)
        (folder / "model.onnx").write_bytes(model)
        reason = _do(folder, {"do": "tensors"}, limits, file)["reason"]
        made = folder / "tensors.onnx"
        return (made.read_bytes() if made.exists() else None), reason


def _do(folder: Path, task: dict[str, Any], limits: Limits, file: str) -> dict[str, Any]:
    (folder / "task.json").write_text(json.dumps(task | {"limits": asdict(limits)}))
    # One thread: those of BLAS would each take a part of the address space.
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[3]), *filter(None, sys.path)]),
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    }
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "inference.importing.sandbox.child", str(folder)],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=limits.seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ImportRefusedError(
            "",
            f"loading and trying it took more than {limits.seconds} seconds",
            "Export a smaller model, without long loops",
            file,
        ) from None
    try:
        result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise ImportRefusedError(
            "",
            f"the process that loaded and tried it {_end(ended.returncode)}",
            "The file is damaged, malicious, or needs more memory than "
            f"{limits.memory_mb:,} MiB: export it again",
            file,
        ) from None
    if "refused" in result:
        raise ImportRefusedError(**result["refused"], file=file)
    done: dict[str, Any] = result["done"]
    return done


def _end(code: int) -> str:
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with exit code {code} and no answer"
