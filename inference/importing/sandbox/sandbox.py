"""Models that nobody has vouched for are loaded and run in a process of their own.

A hostile or damaged graph can crash the runtime, ask for all memory or never end. There that is an
error message; here it would be the end of whoever imports.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.errors import InferenceError
from inference.importing.sandbox.inspection import Inspection, Request
from inference.importing.static.check import Check
from inference.importing.static.external_data import weights_beside
from inference.importing.static.limits import Limits
from inference.importing.static.refusal import ImportRefusedError
from streams.base.apart.starter import Apart, Bounds, Ended, NotStartedError

_CHUNK = 8_192
"""Rows per call: bounds the memory of the graph's intermediates."""
_CHILD = "inference.importing.sandbox.child"
_RESULT = "result.json"
_SMALL_FILES_MB = 64


def inspect_apart(
    path: Path, request: Request, seen: NDArray[np.float32] | None = None
) -> tuple[bytes, Inspection]:
    """Do what `inspection.inspect` does, in a process that may die of it.

    Returns:
        The core as bytes, and what was found.

    Raises:
        ImportRefusedError: as there, or that process ended otherwise; the file is named.
        InferenceError: this machine does not let us start that process.
    """
    task = {"do": "inspect", "file": str(path.absolute()), "request": asdict(request)}
    given = {} if seen is None else {"rows.npy": _array(seen)}
    readable = [path, *weights_beside(path)]
    with _done(task, given, ["core.onnx"], request.limits, str(path), readable) as (found, read):
        checks = tuple(Check(*check) for check in found.pop("checks"))
        features = tuple(found.pop("features"))
        return read("core.onnx"), Inspection(**found, features=features, checks=checks)


def run_apart(
    model: bytes, rows: NDArray[np.float32], outputs: Sequence[str], limits: Limits, file: str
) -> dict[str, NDArray[np.float32]]:
    """Check a graph that reads ``features``, and return outputs of it for rows (n, k), n > 0.

    Args:
        limits: of which the time grows by a second for each thousand rows.
        file: what messages call it.

    Raises:
        ImportRefusedError: it does not answer.
        InferenceError: as for `inspect_apart`.
    """
    limits = replace(limits, seconds=limits.seconds + len(rows) // 1_000)
    task = {"do": "run", "outputs": list(outputs), "chunk": _CHUNK}
    given = {"model.onnx": model, "rows.npy": _array(rows)}
    files = {name: f"{name}.npy" for name in outputs}
    with _done(task, given, list(files.values()), limits, file) as (_, read):
        return {
            name: np.load(BytesIO(read(answers)), allow_pickle=False)
            for name, answers in files.items()
        }


def tensor_form_apart(model: bytes, limits: Limits, file: str) -> tuple[bytes | None, str | None]:
    """Do what `plain_form_or_why_not` of `plain_operators` does, in a process that may die of it.

    Args:
        file: what messages call the model.

    Raises:
        ImportRefusedError: that process ended otherwise.
        InferenceError: as for `inspect_apart`.
    """
    with _done({"do": "tensors"}, {"model.onnx": model}, ["tensors.onnx"], limits, file) as (
        found,
        read,
    ):
        return read("tensors.onnx") or None, found["reason"]


@contextmanager
def _done(
    task: dict[str, Any],
    given: Mapping[str, bytes],
    outputs: Sequence[str],
    limits: Limits,
    file: str,
    readable: Sequence[Path] = (),
) -> Iterator[tuple[dict[str, Any], Callable[[str], bytes]]]:
    """What `child` found, and what reads the outputs that it left."""
    bounds = Bounds(
        cpu_s=limits.seconds,
        wall_s=limits.seconds,
        memory_mb=limits.memory_mb,
        file_mb=2 * limits.file_mb + _SMALL_FILES_MB,
    )
    try:
        with Apart("import", bounds) as apart:
            task_file = json.dumps(task | {"limits": asdict(limits)}).encode()
            for name, content in {**given, "task.json": task_file}.items():
                (apart.folder / name).write_bytes(content)
            ended = apart.run(_CHILD, outputs=[*outputs, _RESULT], readable=readable)
            yield _result(ended, apart.read(_RESULT), limits, file), apart.read
    except NotStartedError as error:
        raise InferenceError(f"{file} can't be tried: {error}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _no_answer(ended, limits, file) from error  # what it left is not what we read


def _result(ended: Ended, result: bytes, limits: Limits, file: str) -> dict[str, Any]:
    if ended.overstayed:
        raise ImportRefusedError(
            "",
            f"loading and trying it took more than {limits.seconds} seconds",
            "Export a smaller model, without long loops",
            file,
        )
    found = json.loads(result)
    if "refused" in found:
        raise ImportRefusedError(**found["refused"], file=file)
    done: dict[str, Any] = found["done"]
    return done


def _no_answer(ended: Ended, limits: Limits, file: str) -> ImportRefusedError:
    return ImportRefusedError(
        "",
        f"the process that loaded and tried it {ended}",
        f"The file is damaged, malicious, or needs more memory than {limits.memory_mb:,} MiB: "
        "export it again",
        file,
    )


def _array(values: NDArray[np.float32]) -> bytes:
    stream = BytesIO()
    np.save(stream, np.ascontiguousarray(values), allow_pickle=False)
    return stream.getvalue()
