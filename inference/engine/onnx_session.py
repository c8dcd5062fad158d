"""Graphs loaded into ONNX Runtime, for one CPU thread."""

from typing import Any, NamedTuple

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from inference.engine.protocol import EngineError, Outputs

_CHUNK = 8192
"""Rows per call: bounds the memory of the graph's intermediates when a whole file is scored."""

_BOUND_ROWS = 32
"""Up to so many rows, what a binding saves is more than a hundredth of the call."""

_FROM_HERE = ("cpu", 0, np.float32)


def load_session(model: bytes, name: str) -> onnxruntime.InferenceSession:
    """Load a graph for one thread.

    One, because ONNX Runtime's pool spins: on a busy machine a second thread costs milliseconds
    a call. Scale with processes, by partition.

    Raises:
        EngineError: ONNX Runtime refuses the graph; the message starts with `name`.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 4  # what it says of errors is raised; names in it are a stranger's
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exception classes share no base but this one
        raise EngineError(f"{name}: ONNX Runtime cannot load model.onnx: {error}") from error


class RunSwitch:
    """Ends what sessions are running, from another thread, and all that they are asked later.

    Attributes:
        options: of every call that is to be ended so.
    """

    def __init__(self) -> None:
        self.options = onnxruntime.RunOptions()

    def off(self) -> None:
        """Let calls fail as soon as the operator at hand is done."""
        self.options.terminate = True


def run_session(
    session: onnxruntime.InferenceSession,
    features: NDArray[np.float32],
    switch: RunSwitch | None = None,
) -> Outputs:
    """Run a package's graph on the float32 (n, k) matrix that it reads."""
    n = len(features)
    options = None if switch is None else switch.options
    if 0 < n <= _CHUNK:
        return Outputs(*session.run(Outputs._fields, {"features": features}, options))
    outputs = Outputs(*(np.empty(n, np.float32) for _ in Outputs._fields))
    for start in range(0, n, _CHUNK):
        rows = slice(start, start + _CHUNK)
        parts = session.run(Outputs._fields, {"features": features[rows]}, options)
        for whole, part in zip(outputs, parts, strict=True):
            whole[rows] = part
    return outputs


class BoundSession:
    """Runs a package's graph with less to do around each call of few rows.

    ONNX Runtime takes 5 µs to check a call's inputs and to make its outputs, of the 40 that one row
    takes. So memory for a few rows is bound once, for each number of rows, and used again.
    Any number of threads may ask: each takes a binding that no other has.

    Args:
        session: of a graph with the outputs `Outputs._fields`, each (n,).
        inputs: names of its inputs; each is float32, (n, k) for its own k.
        switch: ends calls.
    """

    def __init__(
        self, session: onnxruntime.InferenceSession, *inputs: str, switch: RunSwitch | None = None
    ) -> None:
        self._session = session
        self._options = (switch or RunSwitch()).options
        self._names = inputs
        self._idle: tuple[list[_Binding], ...] = tuple([] for _ in range(_BOUND_ROWS + 1))

    def __call__(self, *inputs: NDArray[Any]) -> Outputs:
        """Answer the rows of the inputs (n, k), in the order of their names."""
        n = len(inputs[0])
        if not 0 < n <= _BOUND_ROWS:
            return Outputs(*self._session.run(Outputs._fields, self._fed(inputs), self._options))
        idle = self._idle[n]
        try:
            bound = idle.pop()
        except IndexError:
            bound = self._bind(inputs)
        # By number: to go through arrays in a loop takes as long as one of the graph's operators.
        for i in range(len(inputs)):
            bound.inputs[i][:] = inputs[i]
        self._session.run_with_iobinding(bound.binding, self._options)
        copied = bound.outputs.copy()
        idle.append(bound)
        return Outputs(copied[0], copied[1], copied[2])

    def _fed(self, inputs: tuple[NDArray[Any], ...]) -> dict[str, NDArray[np.float32]]:
        return {
            name: values.astype(np.float32, copy=False)
            for name, values in zip(self._names, inputs, strict=True)
        }

    def _bind(self, inputs: tuple[NDArray[Any], ...]) -> "_Binding":
        binding = self._session.io_binding()
        memory = tuple(np.empty(values.shape, np.float32) for values in inputs)
        for name, values in zip(self._names, memory, strict=True):
            binding.bind_input(name, *_FROM_HERE, values.shape, values.ctypes.data)
        outputs = np.empty((len(Outputs._fields), len(inputs[0])), np.float32)
        for name, values in zip(Outputs._fields, outputs, strict=True):
            binding.bind_output(name, *_FROM_HERE, values.shape, values.ctypes.data)
        return _Binding(binding, memory, outputs)


class _Binding(NamedTuple):
    """Memory that ONNX Runtime knows by its address: it lives as long as the binding."""

    binding: Any
    inputs: tuple[NDArray[np.float32], ...]
    outputs: NDArray[np.float32]
