"""The process that loads and runs models which nobody has vouched for; see `sandbox`.

It is bounded already. In its folder are ``task.json`` and what that names, and the files that it
may write, of which ``result.json`` is one.
"""

import json
from pathlib import Path
from typing import Any


def main(folder: Path) -> None:
    """Do the task in a folder."""
    task: dict[str, Any] = json.loads((folder / "task.json").read_text(encoding="utf-8"))
    limits = task["limits"]
    try:
        result = {"done": _TASKS[task["do"]](folder, task)}
    except MemoryError:
        result = _refusal(
            "", f"it needs more than {limits['memory_mb']:,} MiB of memory", "Export a smaller one"
        )
    except Exception as error:
        # Whatever a library says of a malformed file: there is no list of their exceptions.
        result = _refusal(
            getattr(error, "place", ""),
            getattr(error, "problem", f"{type(error).__name__}: {str(error)[:300]}"),
            getattr(error, "fix", "The file is damaged or malformed: export it again"),
        )
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")


def _refusal(place: str, problem: str, fix: str) -> dict[str, Any]:
    return {"refused": {"place": place, "problem": problem, "fix": fix}}


def _inspect(folder: Path, task: dict[str, Any]) -> dict[str, Any]:
    import numpy as np

    from inference.importing.sandbox.inspection import Request, inspect
    from inference.importing.static.limits import Limits

    asked: Any = {k: tuple(v) if isinstance(v, list) else v for k, v in task["request"].items()}
    request = Request(**asked | {"limits": Limits(**task["limits"])})
    rows = folder / "rows.npy"
    seen = np.load(rows, allow_pickle=False) if rows.exists() else None
    core, inspection = inspect(Path(task["file"]), request, seen)
    (folder / "core.onnx").write_bytes(core.SerializeToString(deterministic=True))
    return inspection.as_dict()


def _run(folder: Path, task: dict[str, Any]) -> dict[str, Any]:
    import numpy as np
    import onnx

    from inference.engine.onnx_session import load_session

    model = (folder / "model.onnx").read_bytes()
    onnx.checker.check_model(model, full_check=True)
    session = load_session(model, "the imported model")
    rows = np.load(folder / "rows.npy", allow_pickle=False)
    parts = [
        session.run(task["outputs"], {"features": rows[start : start + task["chunk"]]})
        for start in range(0, len(rows), task["chunk"])
    ]
    for name, *values in zip(task["outputs"], *parts, strict=True):
        np.save(folder / f"{name}.npy", np.concatenate(values), allow_pickle=False)
    return {}


def _tensors(folder: Path, task: dict[str, Any]) -> dict[str, Any]:
    from inference.importing.sandbox.plain_operators import plain_form_or_why_not

    tensors, reason = plain_form_or_why_not((folder / "model.onnx").read_bytes())
    if tensors is not None:
        (folder / "tensors.onnx").write_bytes(tensors)
    return {"reason": reason}


def _package(folder: Path, task: dict[str, Any]) -> dict[str, Any]:
    """Check a package's graphs, and run them as an engine does before it serves."""
    import numpy as np

    from inference.engine.onnx_session import load_session, run_session
    from inference.engine.protocol import BATCH_BUCKETS
    from inference.importing.static.checking import read_checked
    from inference.importing.static.limits import Limits

    background = np.load(folder / "rows.npy", allow_pickle=False)
    for name in task["graphs"]:
        read_checked(folder / name, Limits(**task["limits"]))
        session = load_session((folder / name).read_bytes(), name)
        for size in (len(background), *BATCH_BUCKETS):
            run_session(session, np.resize(background, (size, background.shape[1])))
    return {}


_TASKS = {"inspect": _inspect, "run": _run, "tensors": _tensors, "package": _package}

if __name__ == "__main__":
    main(Path.cwd())
