"""Mutates exported models and imports each in a fork: python import_mutations.py SEED COUNT.

Prints one JSON object: how many were accepted, refused, and ended their process; with an example of
each way to end, and the messages of refusals that no check foresaw.
"""

import json
import os
import signal
import sys
import tempfile
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnx
import onnxruntime  # noqa: F401  loaded once, before the forks

from inference.importing.sandbox import child, inspection
from inference.importing.static.limits import Limits

MODELS = Path(__file__).parents[1] / "data" / "models"
NAMES = ("amount", "count_1d", "amount_7d", "hour", "risk_30d", "device_age")
LIMITS = Limits(memory_mb=3_000, seconds=20)


def mutate(data: bytes, rng: np.random.Generator) -> bytes:
    """Change a file in one of the ways in which files are damaged or forged."""
    buffer = bytearray(data)
    kind = rng.integers(10)
    if kind == 0:  # bits flipped
        for at in rng.integers(len(buffer), size=rng.integers(1, 9)):
            buffer[at] ^= 1 << rng.integers(8)
    elif kind == 1:  # cut off
        del buffer[rng.integers(len(buffer)) :]
    elif kind == 2:  # a piece repeated elsewhere
        start, at = rng.integers(len(buffer), size=2)
        buffer[at:at] = buffer[start : start + rng.integers(1, 200)]
    elif kind == 3:  # a piece missing
        start = rng.integers(len(buffer))
        del buffer[start : start + rng.integers(1, 100)]
    else:
        return _mutate_parts(data, rng)
    return bytes(buffer)


def _mutate_parts(data: bytes, rng: np.random.Generator) -> bytes:
    """Keep the format, and change what it says."""
    model = onnx.load_from_string(data)
    nodes = model.graph.node
    node = nodes[rng.integers(len(nodes))]
    kind = rng.integers(6)
    if kind == 0 and node.input:
        node.input[rng.integers(len(node.input))] = str(rng.choice(["", "x", *node.output]))
    elif kind == 1 and node.attribute:
        attribute = node.attribute[rng.integers(len(node.attribute))]
        if attribute.ints:
            odd = (-1, 0, 1, 2, 1_000, 2**31, 2**40, -(2**63), len(attribute.ints))
            attribute.ints[rng.integers(len(attribute.ints))] = odd[rng.integers(len(odd))]
        elif attribute.floats:
            odd_floats = (np.nan, np.inf, -1e38, 0.0)
            attribute.floats[rng.integers(len(attribute.floats))] = odd_floats[rng.integers(4)]
        else:
            attribute.i, attribute.type = int(rng.integers(-5, 5)), int(rng.integers(12))
    elif kind == 2:
        node.op_type = str(rng.choice(["Sigmoid", "Gather", "Loop", "Softmax", "Identity"]))
    elif kind == 3 and model.graph.initializer:
        tensor = model.graph.initializer[rng.integers(len(model.graph.initializer))]
        tensor.dims.append(int(rng.integers(-1, 2**33)))
    elif kind == 4:
        nodes.append(nodes[rng.integers(len(nodes))])
    else:
        value = [*model.graph.input, *model.graph.output][rng.integers(2)]
        value.type.tensor_type.elem_type = int(rng.integers(0, 24))
    return model.SerializeToString()


def attempt(path: Path, folder: Path) -> str:
    """Import in a fork; ``done``, ``refused``, or how the process ended."""
    request = asdict(inspection.Request(NAMES, limits=LIMITS))
    task = {"do": "inspect", "file": str(path), "request": request, "limits": asdict(LIMITS)}
    (folder / "task.json").write_text(json.dumps(task))
    (folder / "result.json").unlink(missing_ok=True)
    pid = os.fork()
    if pid == 0:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        child.main(folder)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    if os.WEXITSTATUS(status):
        return f"exit code {os.WEXITSTATUS(status)}"
    return next(iter(json.loads((folder / "result.json").read_text())))


def main(seed: int, count: int) -> None:
    """Try `count` mutations and print what became of them."""
    rng = np.random.default_rng(seed)
    models = sorted(MODELS.glob("*.onnx"))
    outcomes: Counter[str] = Counter()
    examples: dict[str, str] = {}
    unforeseen: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        path = folder / "mutated.onnx"
        for _ in range(count):
            path.write_bytes(mutate(models[rng.integers(len(models))].read_bytes(), rng))
            outcome = attempt(path, folder)
            outcomes[outcome] += 1
            if outcome == "refused":
                said = json.loads((folder / "result.json").read_text())["refused"]
                assert said["problem"], said
                assert said["fix"], said
                if said["fix"].startswith("The file is damaged or malformed"):
                    unforeseen[said["problem"][:100]] += 1
            elif outcome != "done" and outcome not in examples:
                examples[outcome] = path.read_bytes().hex()
    print(json.dumps({"outcomes": outcomes, "examples": examples, "unforeseen": unforeseen}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
