"""A package's tensor form in PyTorch, for `gpu_engine.py`; PyTorch is no dependency of Weir."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from inference.engine.protocol import Outputs
from inference.packages.package import ModelPackage

_TYPES = {
    TensorProto.FLOAT: torch.float32,
    TensorProto.INT32: torch.int64,
    TensorProto.INT64: torch.int64,
}
"""All integers are int64: older versions look up by nothing else, and would convert each level."""


class UnknownOperatorError(Exception):
    """A graph has operators that Weir's own writers do not write."""


class TorchGraph:
    """A graph of tensor operators as a function of tensors on one device.

    Args:
        model: a package's tensor form; its constants are moved to the device here, once.
        outputs: names of the tensors that it returns.
        device: where it computes.

    Raises:
        UnknownOperatorError: an operator is not known, or not with these attributes or inputs.
    """

    def __init__(self, model: bytes, outputs: Sequence[str], device: torch.device) -> None:
        graph = onnx.load_from_string(model).graph
        arrays = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
        unknown = {node.op_type for node in graph.node if not _is_known(node, arrays)}
        if unknown:
            raise UnknownOperatorError(f"no PyTorch form is known of {', '.join(sorted(unknown))}")
        (self._input,) = (each.name for each in graph.input if each.name not in arrays)
        self._outputs = tuple(outputs)
        self._constants = {
            name: torch.tensor(
                array, dtype=_TYPES[helper.np_dtype_to_tensor_dtype(array.dtype)]
            ).to(device)
            for name, array in arrays.items()
        }
        self._steps: list[_Step] = []
        needed = {*arrays, *outputs}
        for node in reversed(graph.node):
            last_read = set(node.input) - needed
            needed |= last_read
            self._steps.insert(0, _step(node, arrays, last_read))

    def __call__(self, features: torch.Tensor) -> list[torch.Tensor]:
        """Return the outputs of float32 rows (n, k) that lie on the device."""
        values = {**self._constants, self._input: features}
        for step in self._steps:
            tensors = (values[name] for name in step.inputs)
            values[step.output] = step.compute(*tensors, *step.numbers)
            for name in step.last_read:  # or a batch would hold the memory of all steps
                del values[name]
        return [values[name] for name in self._outputs]


class TorchContender:
    """Answers batches as the GPU engine does: pinned memory in, the graph, pinned memory out.

    Args:
        package: the model; it has a tensor form.
        device: where it computes.
        captured: whether a batch is one launch of a `torch.cuda.CUDAGraph`, copies included, which
            is made when a batch size is first seen. For CUDA only.

    Raises:
        UnknownOperatorError: see `TorchGraph`.
    """

    def __init__(self, package: ModelPackage, device: torch.device, captured: bool) -> None:
        assert package.tensors is not None
        self._graph = TorchGraph(package.tensors, Outputs._fields, device)
        self._device, self._captured = device, captured
        self._batches: dict[int, _Batch] = {}

    @torch.inference_mode()
    def __call__(self, rows: NDArray[np.float32]) -> Outputs:
        """Return the answers of rows (n, k) in the package's columns, n at least 1."""
        if (batch := self._batches.get(len(rows))) is None:
            batch = _Batch(self._graph, rows.shape, self._device)
            if self._captured:
                batch.capture()
            self._batches[len(rows)] = batch
        return batch.answer(rows)


class _Batch:
    """The memory of one batch size; the answers lie one behind the other, for one copy."""

    def __init__(self, graph: TorchGraph, shape: tuple[int, ...], device: torch.device) -> None:
        self._on_gpu = device.type == "cuda"
        self._graph = graph
        self._pinned_in = torch.empty(shape, pin_memory=self._on_gpu)
        self._pinned_out = torch.empty((len(Outputs._fields), shape[0]), pin_memory=self._on_gpu)
        self._device_in = torch.empty(shape, device=device)
        self._rows, self._answers = self._pinned_in.numpy(), self._pinned_out.numpy()
        self._run: Callable[[], None] = self._launch

    def capture(self) -> None:
        """Run as one CUDA graph from now on."""
        self._rows[:] = 0
        self._launch()  # what a library does at a shape's first run cannot be captured
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._launch()
        self._run = graph.replay

    def answer(self, rows: NDArray[np.float32]) -> Outputs:
        self._rows[:] = rows
        self._run()
        if self._on_gpu:
            torch.cuda.current_stream().synchronize()
        return Outputs(*self._answers.copy())

    def _launch(self) -> None:
        self._device_in.copy_(self._pinned_in, non_blocking=True)
        answers = torch.stack(self._graph(self._device_in))
        self._pinned_out.copy_(answers, non_blocking=True)


class _Step(NamedTuple):
    """One operator: its tensors, the numbers behind them, and which tensors nobody reads later."""

    compute: Callable[..., torch.Tensor]
    inputs: tuple[str, ...]
    numbers: tuple[tuple[int, ...], ...]
    output: str
    last_read: set[str]


def _step(node: onnx.NodeProto, arrays: dict[str, NDArray[Any]], last_read: set[str]) -> _Step:
    attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    tensors = 1 if node.op_type in _BY_NUMBERS else len(node.input)
    numbers = tuple(tuple(arrays[name].tolist()) for name in node.input[tensors:])
    compute = partial(_OPERATORS[_form(node)], **attributes)
    return _Step(compute, tuple(node.input[:tensors]), numbers, node.output[0], last_read)


def _is_known(node: onnx.NodeProto, arrays: dict[str, NDArray[Any]]) -> bool:
    numbers = node.input[1:] if node.op_type in _BY_NUMBERS else []
    return _form(node) in _OPERATORS and all(node.input) and all(name in arrays for name in numbers)


def _form(node: onnx.NodeProto) -> tuple[str, ...]:
    return (node.op_type, *sorted(each.name for each in node.attribute))


def _gather(tensor: torch.Tensor, index: torch.Tensor, axis: int) -> torch.Tensor:
    flat = torch.index_select(tensor, axis, index.reshape(-1))
    return flat.reshape(tensor.shape[:axis] + index.shape + tensor.shape[axis + 1 :])


def _mean(tensor: torch.Tensor, axes: Sequence[int], keepdims: int) -> torch.Tensor:
    return tensor.mean(axes, bool(keepdims))


_BY_NUMBERS = {"ReduceMean", "ReduceSum", "Reshape", "Squeeze", "Unsqueeze"}
"""What these read behind their tensor has to be known at launch, so the device cannot hold it."""

_OPERATORS: dict[tuple[str, ...], Callable[..., torch.Tensor]] = {
    ("Abs",): torch.abs,
    ("Add",): torch.add,
    ("And",): torch.logical_and,
    ("Cast", "to"): lambda tensor, to: tensor.to(_TYPES[to]),
    ("Clip",): torch.clamp,
    ("Concat", "axis"): lambda *tensors, axis: torch.cat(tensors, axis),
    ("Div",): torch.div,
    ("Equal",): torch.eq,
    ("Exp",): torch.exp,
    ("Floor",): torch.floor,
    ("Gather", "axis"): _gather,
    ("GatherElements", "axis"): lambda tensor, index, axis: torch.gather(tensor, axis, index),
    ("Gemm",): lambda rows, weights, bias: torch.addmm(bias, rows, weights),
    ("Greater",): torch.gt,
    ("GreaterOrEqual",): torch.ge,
    ("IsNaN",): torch.isnan,
    ("Less",): torch.lt,
    ("LessOrEqual",): torch.le,
    ("MatMul",): torch.matmul,
    ("Mul",): torch.mul,
    ("Neg",): torch.neg,
    ("Reciprocal",): torch.reciprocal,
    ("ReduceMean", "axes", "keepdims"): _mean,  # opset 17 and earlier
    ("ReduceMean", "keepdims"): _mean,
    ("ReduceSum", "keepdims"): lambda tensor, axes, keepdims: tensor.sum(axes, bool(keepdims)),
    ("Relu",): torch.relu,
    ("Reshape",): torch.reshape,
    ("Squeeze",): torch.squeeze,
    ("Sub",): torch.sub,
    ("Transpose", "perm"): lambda tensor, perm: tensor.permute(perm),
    ("Unsqueeze",): lambda tensor, axes: tensor.unsqueeze(*axes),
    ("Where",): torch.where,
}
"""By name and attributes, as the package's writers use them: others have no entry."""
