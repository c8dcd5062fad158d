"""The GPU engine without a GPU: for tests, and for trying what would run on one."""

from collections.abc import Sequence

from inference.backends.tensorrt.engine import TensorRtEngine
from inference.backends.tensorrt.opening import build_request
from inference.engine.settings import EngineSettings
from inference.packages.package import ModelPackage
from tests.inference.backends.tensorrt.memory_cuda import MemoryCuda
from tests.inference.backends.tensorrt.memory_runtime import MemoryRuntime


def open_in_memory(
    settings: EngineSettings,
    package: ModelPackage,
    feature_names: Sequence[str] | None = None,
    cuda: MemoryCuda | None = None,
) -> TensorRtEngine:
    """Open the engine over `MemoryCuda` and `MemoryRuntime`; its plan is the tensor form itself.

    Raises:
        EngineError: see `TensorRtEngine`.
    """
    request = build_request(settings, package)
    cuda = MemoryCuda() if cuda is None else cuda
    return TensorRtEngine(
        package,
        feature_names,
        plan=request.model,
        settings=settings,
        cuda=cuda,
        runtime=MemoryRuntime(cuda, request.profiles, request.name),
        device="memory",
    )
