"""From settings and a package to a running GPU engine: library, plan, device, slots."""

import importlib
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from inference.backends.tensorrt.blob_store import BlobStore
from inference.backends.tensorrt.build import BuildRequest, TimingCache, build_plan
from inference.backends.tensorrt.callbacks import Cancelled, Progress
from inference.backends.tensorrt.cuda import Cuda
from inference.backends.tensorrt.cuda_bindings import CudaBindings
from inference.backends.tensorrt.driver import Gpu
from inference.backends.tensorrt.engine import TensorRtEngine
from inference.backends.tensorrt.library import Flavour, Library, LibraryMissingError, load_library
from inference.backends.tensorrt.plan_cache import PlanCache, plan_key
from inference.backends.tensorrt.profiles import profiles_of
from inference.backends.tensorrt.pycuda_driver import PyCuda
from inference.backends.tensorrt.tensorrt_runtime import PlanRefusedError, TensorRtRuntime
from inference.engine.protocol import EngineError
from inference.engine.settings import CudaBinding, EngineSettings
from inference.packages.package import ModelPackage

logger = logging.getLogger(__name__)

_MB = 1 << 20
_FLAVOURS: tuple[Flavour, ...] = ("tensorrt", "tensorrt_rtx")


def open_tensorrt(
    settings: EngineSettings,
    package: ModelPackage,
    feature_names: Sequence[str] | None,
    *,
    cache_dir: Path,
    gpu: Gpu,
    progress: Progress = lambda done, of: None,
    cancelled: Cancelled = lambda: False,
) -> TensorRtEngine:
    """Open a GPU engine around a package; its plan is built where it is not kept already.

    Args:
        settings: the ``[engine]`` section.
        package: the model.
        feature_names: columns of the matrices to come; None means those that the package reads.
        cache_dir: where plans are kept, unless the settings name another folder.
        gpu: the one here, as `inference.backends.tensorrt.driver.probe` found it.
        progress: told of each step of a build.
        cancelled: asked at each step of a build whether to give up.

    Raises:
        EngineError: a package is missing, the model has no tensor form, or it cannot be built or
            loaded for this GPU.
        DeviceLostError: the GPU is lost to this process.
    """
    request = build_request(settings, package)
    library = find_library(settings)
    store = BlobStore(settings.cache_dir or cache_dir)
    cache = PlanCache(store, settings.cache_limit_mb * _MB)
    key = plan_key(request, library, gpu)
    cuda = load_cuda(settings.cuda)

    def build() -> bytes:
        return _build(
            library, request, store=store, gpu=gpu, progress=progress, cancelled=cancelled
        )

    def start() -> TensorRtEngine:
        return TensorRtEngine(
            package,
            feature_names,
            plan=cache.get(key, build, cancelled),
            settings=settings,
            cuda=cuda,
            runtime=TensorRtRuntime(library, cuda, store=store, identity=key, width=request.width),
            device=f"cuda:0 {gpu.name}",
        )

    try:
        return start()
    except PlanRefusedError as error:
        # Of the right key and whole, and yet: something that the key does not know has changed.
        logger.warning("the cached engine does not load, building it again: %s", error)
        cache.forget(key)
        return start()


def build_request(settings: EngineSettings, package: ModelPackage) -> BuildRequest:
    """Return what to build of a package, for the GPU here.

    Raises:
        EngineError: the package has no tensor form.
    """
    if package.tensors is None:
        why = package.card.tensors_left_out or "it was written by an earlier version of Weir"
        raise EngineError(
            f"model {package.short_id} has no tensor form, which TensorRT needs: {why}. Train or "
            "import it again, or set engine.backend = 'cpu'"
        )
    return BuildRequest(
        name=f"model {package.short_id} ({package.folder})",
        model=package.tensors,
        width=len(package.features.names),
        profiles=profiles_of(settings.buckets),
        precision=settings.precision,
        memory=settings.build_memory_mb * _MB,
    )


def find_library(
    settings: EngineSettings, load: Callable[[Flavour], Library] = load_library
) -> Library:
    """Return the flavour of TensorRT that the settings name, or for ``auto`` the first there is.

    Raises:
        LibraryMissingError: it is not installed, or too old.
    """
    if settings.backend in _FLAVOURS:
        return load(settings.backend)
    missing = []
    for flavour in _FLAVOURS:
        try:
            return load(flavour)
        except LibraryMissingError as error:
            missing.append(str(error))
    raise LibraryMissingError("; ".join(missing))


def load_cuda(binding: CudaBinding) -> Cuda:
    """Open the first visible device through a package.

    Raises:
        LibraryMissingError: the package is not installed.
        CudaError: the device cannot be used.
    """
    try:
        if binding == "cuda-bindings":
            return CudaBindings(importlib.import_module("cuda.bindings.runtime"))
        return PyCuda(importlib.import_module("pycuda.driver"))
    except ImportError as error:
        extra = "gpu" if binding == "cuda-bindings" else "gpu-pycuda"
        raise LibraryMissingError(
            f"the package {binding} is not installed ({error}): install it with "
            f"`pip install weir[{extra}]`"
        ) from error


def _build(
    library: Library,
    request: BuildRequest,
    *,
    store: BlobStore,
    gpu: Gpu,
    progress: Progress,
    cancelled: Cancelled,
) -> bytes:
    if library.flavour == "tensorrt_rtx":
        return build_plan(library, request, progress=progress, cancelled=cancelled)
    identity = f"{library.version} {gpu.name} {gpu.compute_capability} {gpu.driver}"
    name = "tensorrt.timing"
    timing = TimingCache(store.read(name, identity) or b"")
    plan = build_plan(library, request, timing=timing, progress=progress, cancelled=cancelled)
    try:
        store.write(name, identity, timing.content)
    except OSError as error:
        logger.warning(
            "can't save kernel times in engine.cache_dir, the next build measures them again: %s",
            error,
        )
    return plan
