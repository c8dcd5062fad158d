"""Packages that answer as another one does, and take far longer for it, or far more memory.

Their graphs do work that changes no answer before they do that of the other package.
"""

from collections.abc import Sequence
from pathlib import Path
from time import process_time

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from inference.backends.cpu import CpuEngine
from inference.packages.package import ModelPackage, write_package

_SIDE = 256
_ROWS = 64
_TRIES = 9
_TRIED = 40


def slow(package: ModelPackage, folder: Path, times: float) -> tuple[ModelPackage, float]:
    """One that takes `times` as long for a batch, about, and how many times it is."""
    usual = _seconds(package)
    a_few = _seconds(_behind(package, folder, _products(_TRIED)))
    wanted = max(1, round(_TRIED * (times - 1) * usual / (a_few - usual)))
    made = _behind(package, folder, _products(wanted))
    return made, _seconds(made) / usual


def hungry(package: ModelPackage, folder: Path, mebibytes: int) -> ModelPackage:
    """One that fills so much memory for each batch."""
    shape = numpy_helper.from_array(np.array([mebibytes << 18]), "work_shape")
    return _behind(
        package,
        folder,
        ([helper.make_node("Expand", ["work_seed", "work_shape"], ["work"])], shape),
    )


def _products(count: int) -> tuple[list[onnx.NodeProto], onnx.TensorProto]:
    """Products of matrices, one after the other."""
    nodes = [helper.make_node("Expand", ["work_seed", "work_shape"], ["work_0"])]
    nodes += [
        helper.make_node("MatMul", [f"work_{i}", "work_0"], [f"work_{i + 1}"]) for i in range(count)
    ]
    nodes.append(helper.make_node("Identity", [f"work_{count}"], ["work"]))
    return nodes, numpy_helper.from_array(np.array([_SIDE, _SIDE]), "work_shape")


def _behind(
    package: ModelPackage, folder: Path, work: tuple[Sequence[onnx.NodeProto], onnx.TensorProto]
) -> ModelPackage:
    """A package whose graph makes ``work`` of ``work_seed`` first, which no runtime can foresee."""
    model = onnx.load_from_string(package.model)
    nodes, shape = work
    for node in model.graph.node:
        node.input[:] = ["work_given" if name == "features" else name for name in node.input]
    before = [
        helper.make_node("IsNaN", ["features"], ["work_missing"]),
        helper.make_node("Cast", ["work_missing"], ["work_ones"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["work_ones"], ["work_share"], keepdims=0),
        helper.make_node("Mul", ["work_share", "work_tiny"], ["work_some"]),
        helper.make_node("Add", ["work_some", "work_small"], ["work_seed"]),
        *nodes,
        helper.make_node("ReduceMax", ["work"], ["work_most"], keepdims=0),
        helper.make_node("Greater", ["work_most", "work_never"], ["work_so"]),
        helper.make_node("Where", ["work_so", "work_small", "features"], ["work_given"]),
    ]
    after = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*before, *after])
    # Of such a seed a product of matrices is what they were: neither grows, nor becomes denormal.
    numbers = {"work_small": 1 / _SIDE, "work_tiny": 1e-9, "work_never": 1e30}
    constants = {name: np.float32(value) for name, value in numbers.items()}
    model.graph.initializer.extend(
        [shape, *(numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items())]
    )
    return write_package(
        folder,
        card=package.card,
        model=model.SerializeToString(),
        features=package.features,
        thresholds=package.thresholds,
        drift_reference=package.drift_reference,
        background=package.background,
    )


def _seconds(package: ModelPackage) -> float:
    """Processor time for a batch, the shortest of some."""
    rows = np.resize(package.background, (_ROWS, len(package.features.names)))
    with CpuEngine(package, list(package.features.names)) as engine:
        engine.warm_up()
        took = []
        for _ in range(_TRIES):
            start = process_time()
            engine.infer(rows)
            took.append(process_time() - start)
    return min(took)
