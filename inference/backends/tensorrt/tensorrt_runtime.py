"""A `Runtime` over TensorRT or TensorRT-RTX.

TensorRT-RTX compiles its kernels on the user's machine when a shape is first run; they are kept on
disk (its "runtime cache"), so that the next start does not compile them again.
"""

import logging
from collections.abc import Mapping
from typing import Any

from inference.backends.tensorrt.blob_store import BlobStore
from inference.backends.tensorrt.build import INPUT
from inference.backends.tensorrt.cuda import Cuda
from inference.backends.tensorrt.library import Library
from inference.backends.tensorrt.runtime import Context, LoadedPlan
from inference.engine.protocol import EngineError

logger = logging.getLogger(__name__)


class PlanRefusedError(EngineError):
    """The library does not load a plan, for example because another version built it."""


class TensorRtRuntime:
    """See `inference.backends.tensorrt.runtime.Runtime`. Ask for a driver before making one.

    Args:
        library: which flavour.
        cuda: asked for the cause when something fails.
        store: where kernels are kept that were compiled while running.
        identity: of the plan: kernels of another one are not used for it.
        width: columns of the input.
    """

    def __init__(
        self, library: Library, cuda: Cuda, *, store: BlobStore, identity: str, width: int
    ) -> None:
        self.backend: str = library.flavour
        self._library = library
        self._cuda = cuda
        self._store = store
        self._identity = identity
        self._width = width

    def load(self, plan: bytes) -> LoadedPlan:
        """Load a plan."""
        return _TensorRtPlan(
            self._library,
            self._cuda,
            store=self._store,
            identity=self._identity,
            width=self._width,
            plan=plan,
        )


class _TensorRtPlan:
    """An engine of the library and what belongs to it, freed in reverse order."""

    def __init__(
        self,
        library: Library,
        cuda: Cuda,
        *,
        store: BlobStore,
        identity: str,
        width: int,
        plan: bytes,
    ) -> None:
        self._library = library
        self._cuda = cuda
        self._store = store
        self._identity = identity
        self._width = width
        # Without an error recorder, which the engine would inherit: see `build.py` beside this file
        # on what can crash then. The errors come through the logger.
        library.logger.take_errors()
        self._runtime = library.module.Runtime(library.logger)
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        self._config: Any = None
        self._kernels: Any = None
        if self._engine is None:
            reason = library.logger.take_errors()
            self.close()
            cuda.check()
            raise PlanRefusedError(
                f"{library.flavour} {library.version} does not load the engine: {reason}"
            )
        if library.flavour == "tensorrt_rtx":
            self._configure_kernels()

    def new_context(self, profile: int, stream: int) -> Context:
        engine = self._engine
        context = (
            engine.create_execution_context()
            if self._config is None
            else engine.create_execution_context(self._config)
        )
        if context is None or not context.set_optimization_profile_async(profile, stream):
            raise self._failure("a context cannot be made")
        self._cuda.synchronise(stream)
        return _TensorRtContext(context, self._width, self._failure)

    def save(self) -> None:
        if self._kernels is None:
            return
        try:
            content = bytes(memoryview(self._kernels.serialize()))
            self._store.write(f"{self._identity}.kernels", self._identity, content)
        except (OSError, TypeError) as error:
            logger.warning(
                "can't save compiled kernels, the next start compiles them again: %s", error
            )

    def close(self) -> None:
        self._config = self._kernels = None
        self._engine = None
        self._runtime = None

    def _configure_kernels(self) -> None:
        trt = self._library.module
        self._config = self._engine.create_runtime_config()
        # Kernels of a shape are compiled when it is first run, not some time later in the
        # background: what is captured in a graph stays as it was.
        self._config.dynamic_shapes_kernel_specialization_strategy = (
            trt.DynamicShapesKernelSpecializationStrategy.EAGER
        )
        self._config.cuda_graph_strategy = trt.CudaGraphStrategy.DISABLED  # we capture, with copies
        self._kernels = self._config.create_runtime_cache()
        content = self._store.read(f"{self._identity}.kernels", self._identity)
        if content is not None and not self._kernels.deserialize(content):
            logger.info("cached kernels are of another version: compiling them again")
        self._config.set_runtime_cache(self._kernels)

    def _failure(self, what: str) -> Exception:
        """The error to raise; raises what CUDA itself says, if it says anything."""
        reason = self._library.logger.take_errors()
        self._cuda.check()
        return EngineError(f"{self._library.flavour}: {what}: {reason}")


class _TensorRtContext:
    def __init__(self, context: Any, width: int, failure: Any) -> None:
        self._context = context
        self._width = width
        self._failure = failure

    def prepare(self, rows: int, addresses: Mapping[str, int]) -> None:
        if not self._context.set_input_shape(INPUT, (rows, self._width)):
            raise self._failure(f"a batch of {rows} rows is refused")
        for name, address in addresses.items():
            if not self._context.set_tensor_address(name, address):
                raise self._failure(f"the address of {name} is refused")

    def enqueue(self, stream: int) -> None:
        if not self._context.execute_async_v3(stream):
            raise self._failure("a batch cannot be launched")
