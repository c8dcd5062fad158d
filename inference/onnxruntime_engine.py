"""The default engine: ONNX Runtime on one CPU thread."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from inference.engine import ClosedAtEnd, EngineError, EngineInfo, FeatureSelection, Outputs
from inference.package import ModelPackage

_CHUNK = 8192
"""Rows per call: bounds the memory of the graph's intermediates when a whole file is scored."""


class OnnxRuntimeEngine(ClosedAtEnd):
    """An `inference.engine.Engine` over ONNX Runtime.

    Args:
        package: the model, or the folder of its package.
        feature_names: names of the columns of the matrices that `infer` will get; ``None`` means
            exactly the columns that the package reads.

    Raises:
        EngineError: the graph does not load, or reads a feature that is not among the names.
        PackageError: the folder holds no sound package.
    """

    def __init__(
        self, package: ModelPackage | Path, feature_names: Sequence[str] | None = None
    ) -> None:
        if isinstance(package, Path):
            package = ModelPackage.load(package)
        self._select = FeatureSelection(package.features.names, feature_names)
        self._session: onnxruntime.InferenceSession | None = load_session(
            package.model, f"model package {package.short_id} ({package.folder})"
        )
        self._info = EngineInfo("onnxruntime", "cpu", "float32", self._select.width)

    @property
    def info(self) -> EngineInfo:
        """What it is and offers."""
        return self._info

    def warm_up(self) -> None:
        """Answer one batch of every bucket."""
        for size in self._info.buckets:
            self.infer(np.zeros((size, self._select.width), np.float32))

    def infer(self, matrix: NDArray[Any]) -> Outputs:
        """Score the rows of a (n, width) matrix; see `inference.engine.Engine.infer`."""
        session = self._session  # it lives on while we use it, if `close` comes between
        if session is None:
            raise EngineError("the engine is closed")
        return run_session(session, self._select(matrix))

    def close(self) -> None:
        """Free the model; a second call does nothing."""
        self._session = None


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
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exception classes share no base but this one
        raise EngineError(f"{name}: ONNX Runtime cannot load model.onnx: {error}") from error


def run_session(session: onnxruntime.InferenceSession, features: NDArray[np.float32]) -> Outputs:
    """Run a graph on the float32 (n, k) matrix that it reads."""
    n = len(features)
    if 0 < n <= _CHUNK:
        return Outputs(*session.run(Outputs._fields, {"features": features}))
    outputs = Outputs(*(np.empty(n, np.float32) for _ in Outputs._fields))
    for start in range(0, n, _CHUNK):
        rows = slice(start, start + _CHUNK)
        parts = session.run(Outputs._fields, {"features": features[rows]})
        for whole, part in zip(outputs, parts, strict=True):
            whole[rows] = part
    return outputs
