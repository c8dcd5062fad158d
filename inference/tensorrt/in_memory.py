"""The GPU engine without a GPU: for tests, and for trying what would run on one."""

from collections.abc import Sequence

from inference.engine_settings import EngineSettings
from inference.package import ModelPackage
from inference.tensorrt.engine import TensorRtEngine
from inference.tensorrt.memory_cuda import MemoryCuda
from inference.tensorrt.memory_runtime import MemoryRuntime
from inference.tensorrt.opening import build_request


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
