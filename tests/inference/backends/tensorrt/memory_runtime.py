"""A `Runtime` over `MemoryCuda` whose plans are ONNX graphs, computed by ONNX Runtime.

It is as strict as the library: a batch size outside of the profile, or enqueueing before anything
was prepared, is refused; results appear when the stream gets there.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import onnxruntime

from inference.backends.tensorrt.build import INPUT
from inference.backends.tensorrt.profiles import Profile
from inference.backends.tensorrt.runtime import Context, LoadedPlan
from inference.engine.onnx_session import load_session
from inference.engine.protocol import EngineError, Outputs
from tests.inference.backends.tensorrt.memory_cuda import MemoryCuda


class MemoryRuntime:
    """See `inference.backends.tensorrt.runtime.Runtime`.

    Args:
        cuda: whose streams run it and whose addresses it reads.
        profiles: those that the plan would have been built with.
        name: what errors call the model.
    """

    backend = "memory"

    def __init__(self, cuda: MemoryCuda, profiles: Sequence[Profile], name: str) -> None:
        self._name = name
        self._cuda = cuda
        self._profiles = profiles

    def load(self, plan: bytes) -> LoadedPlan:
        """Load an ONNX graph."""
        return _MemoryPlan(self._cuda, self._profiles, load_session(plan, self._name))


class _MemoryPlan:
    def __init__(
        self, cuda: MemoryCuda, profiles: Sequence[Profile], session: onnxruntime.InferenceSession
    ) -> None:
        self._cuda = cuda
        self._profiles = profiles
        self._session = session

    def new_context(self, profile: int, stream: int) -> Context:
        return _MemoryContext(self._cuda, self._profiles[profile], self._session)

    def save(self) -> None:
        """There is nothing to keep."""

    def close(self) -> None:
        self._session = None


class _MemoryContext:
    def __init__(
        self, cuda: MemoryCuda, profile: Profile, session: onnxruntime.InferenceSession
    ) -> None:
        self._cuda = cuda
        self._profile = profile
        self._session = session
        self._width = session.get_inputs()[0].shape[1]
        self._prepared: tuple[int, Mapping[str, int]] | None = None

    def prepare(self, rows: int, addresses: Mapping[str, int]) -> None:
        if not self._profile.smallest <= rows <= self._profile.largest:
            raise EngineError(f"{rows} rows are outside of {self._profile}")
        self._prepared = (rows, dict(addresses))

    def enqueue(self, stream: int) -> None:
        if self._prepared is None:
            raise EngineError("nothing was prepared")
        rows, addresses = self._prepared  # as they are now, whatever is prepared until its turn

        def execute() -> None:
            given = self._cuda.at(addresses[INPUT], rows * self._width * 4).view(np.float32)
            answers = self._session.run(Outputs._fields, {INPUT: given.reshape(rows, self._width)})
            for name, answer in zip(Outputs._fields, answers, strict=True):
                self._cuda.at(addresses[name], rows * 4).view(np.float32)[:] = answer

        self._cuda.give(stream, execute)
