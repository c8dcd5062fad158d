"""The process of one candidate; see `candidate`. It is bounded already.

In its folder is ``task.json``: the package's folder and id, and the names of the columns to come.
"""

import json
from pathlib import Path

import numpy as np

from inference.backends.cpu import CpuEngine
from inference.packages.package import ModelPackage
from streams.base.apart.frames import answer_questions


def main(folder: Path) -> None:
    """Answer matrices of float32, row by row, with three columns of float32, one after another.

    The first answer, to no rows, comes when the engine is warm.
    """
    task = json.loads((folder / "task.json").read_text(encoding="utf-8"))
    package = ModelPackage.load(Path(task["package"]), task["id"])
    names = task["names"]
    engine = CpuEngine(package, names)
    engine.warm_up()

    def answer(question: bytes) -> bytes:
        rows = np.frombuffer(question, np.float32).reshape(-1, len(names))
        return b"".join(np.ascontiguousarray(column).tobytes() for column in engine.infer(rows))

    answer_questions(answer)


if __name__ == "__main__":
    main(Path.cwd())
