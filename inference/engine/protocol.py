"""The engine seam: a package's graph, loaded and ready to answer batches."""

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from inference.errors import InferenceError

BATCH_BUCKETS = (1, 8, 32, 128, 512, 2048, 4096)
"""Batch sizes that engines warm up (and, where shapes are compiled, build for)."""

Precision = Literal["float32", "tf32", "float16"]

TOLERANCE: dict[Precision, float] = {"float32": 1e-5, "tf32": 2e-3, "float16": 5e-3}
"""How far an answer, which is in 0..1, may lie from the one that float64 arithmetic gives."""


class EngineError(InferenceError):
    """A model does not load, or an engine is asked what it cannot answer."""


class Outputs(NamedTuple):
    """What a model says of each row; three arrays of shape (n,).

    ``score`` is the fraud model's own probability, before calibration; ``probability`` is the
    calibrated one, in the same order; ``anomaly`` is in 0..1, high where no legitimate event
    looked like this.
    """

    score: NDArray[np.float32]
    probability: NDArray[np.float32]
    anomaly: NDArray[np.float32]


@dataclass(frozen=True)
class EngineInfo:
    """What an engine is and offers; but for the routes it does not change while the engine lives.

    Attributes:
        backend: what computes, such as ``onnxruntime`` or ``tensorrt``.
        device: where, such as ``cpu`` or ``cuda:0 NVIDIA H200``.
        precision: of its arithmetic; `TOLERANCE` says what that means for answers.
        width: columns of the matrices that `Engine.infer` takes.
        buckets: batch sizes that it is made ready for, ascending. A batch is padded to the next
            one where shapes are compiled, and cut into parts of the last one where it is larger.
        routes: what answers a batch of each bucket, where the engine has a choice, which
            `Engine.warm_up` makes.
    """

    backend: str
    device: str
    precision: Precision
    width: int
    buckets: tuple[int, ...] = BATCH_BUCKETS
    routes: tuple[str, ...] = ()


class Engine(Protocol):
    """A loaded model. Every backend passes `test_engine_conformance.py`."""

    @property
    def info(self) -> EngineInfo:
        """What it is and offers; also after `close`."""

    def warm_up(self) -> None:
        """Answer one batch of every bucket, so that the first real one is not slow."""

    def infer(self, matrix: NDArray[Any]) -> Outputs:
        """Score the rows of a (n, width) matrix; any n, also 0; ``NaN`` is a missing value.

        The input is left as it is, and the answers are the caller's to keep. Any number of threads
        may ask at once; `close` waits for those that are being answered.

        Raises:
            EngineError: wrong shape, or the engine is closed.
        """

    def close(self) -> None:
        """Free the model; a second call does nothing."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


class FeatureSelection:
    """Takes the columns that a model reads out of the vectors that a plan computes.

    Args:
        wanted: feature names that the model reads, in its order.
        given: names of the columns of the matrices to come; ``None`` means exactly `wanted`.

    Raises:
        EngineError: a wanted feature is not given.
    """

    def __init__(self, wanted: Sequence[str], given: Sequence[str] | None = None) -> None:
        given = wanted if given is None else given
        position = {name: i for i, name in enumerate(given)}
        missing = [name for name in wanted if name not in position]
        if missing:
            raise EngineError(
                f"the model reads {len(missing)} feature(s) that are not computed: "
                f"{', '.join(missing)}. Declare them under [features], or choose a model "
                "trained on the declared ones"
            )
        self.width = len(given)
        self._index: NDArray[np.intp] | None = None
        if list(wanted) != list(given):
            self._index = np.array([position[name] for name in wanted], dtype=np.intp)

    def __call__(self, matrix: NDArray[Any]) -> NDArray[np.float32]:
        """Return the model's columns of a (n, width) matrix as contiguous float32.

        Raises:
            EngineError: the matrix has another shape.
        """
        if matrix.ndim != 2 or matrix.shape[1] != self.width:
            raise EngineError(
                f"expected a matrix of shape (n, {self.width}), one column per feature; "
                f"got shape {matrix.shape}"
            )
        if self._index is not None:
            matrix = matrix[:, self._index]
        return np.ascontiguousarray(matrix, dtype=np.float32)
