"""Builds a plan, TensorRT's compiled form of a graph, with either flavour of the library.

Networks are strongly typed: precision is what the graph's types say, and TF32 is the one choice
left. TensorRT 11 and TensorRT-RTX know nothing else.
"""

from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from inference.backends.tensorrt.callbacks import (
    Cancelled,
    Progress,
    error_recorder,
    errors_in,
    progress_monitor,
)
from inference.backends.tensorrt.errors import BuildCancelledError
from inference.backends.tensorrt.library import Library
from inference.backends.tensorrt.profiles import Profile
from inference.engine.protocol import EngineError, Outputs
from inference.engine.settings import TensorRtPrecision

INPUT = "features"


class BuildError(EngineError):
    """TensorRT cannot make a plan of a graph; the message says why."""


@dataclass(frozen=True)
class BuildRequest:
    """What makes one plan another than the next.

    Attributes:
        name: what errors call the model; two requests that differ in it alone want the same plan.
        model: bytes of an ONNX graph from ``features`` (n, width) to the outputs.
        width: columns of ``features``.
        profiles: see `inference.backends.tensorrt.profiles`.
        precision: of matrix products in float32.
        memory: bytes of device memory that the builder may use for scratch.
        compute_capability: the GPU to build for; None is the one here. Only TensorRT-RTX builds
            for a GPU that is not there.
    """

    name: str
    model: bytes
    width: int
    profiles: tuple[Profile, ...]
    precision: TensorRtPrecision
    memory: int
    compute_capability: tuple[int, int] | None = None


@dataclass
class TimingCache:
    """Measured kernel times, which make the next build on the same GPU short.

    For TensorRT alone: TensorRT-RTX measures nothing while it builds, and would want a GPU for it
    (NVIDIA's "Timing Cache Migration").

    Attributes:
        content: what an earlier build left here; empty at first.
    """

    content: bytes = b""


def build_plan(
    library: Library,
    request: BuildRequest,
    *,
    timing: TimingCache | None = None,
    progress: Progress = lambda done, of: None,
    cancelled: Cancelled = lambda: False,
) -> bytes:
    """Compile a graph; takes seconds to minutes.

    Args:
        library: what builds.
        request: what to build.
        timing: read, and filled with what this build measured.
        progress: told of each step of the whole.
        cancelled: asked at each step whether to give up.

    Raises:
        BuildError: the graph is no ONNX, uses an operator that TensorRT does not have (the node is
            named), has other inputs or outputs, or cannot be compiled for that GPU.
        BuildCancelledError: `cancelled` said so.
    """
    with _Build(library, request.name) as build:
        build.parse(request.model)
        build.check_ends(request.width)
        build.configure(request, timing)
        plan = build.run(progress, cancelled)
        if timing is not None:
            build.save_timing(timing)
        return plan


class _Build:
    """The library's objects of one build.

    The library crashes when they are freed in another order than this one's `__exit__`, and when
    a network that knows of an error recorder is freed. So nothing else refers to them, not even a
    local variable, which would live on in a traceback; and the builder is told of the recorder
    after the network was made.
    """

    def __init__(self, library: Library, model: str) -> None:
        self._library = library
        self._trt = library.module
        self._name = f"{model}: {library.flavour} {library.version}"
        self._builder = self._trt.Builder(library.logger)
        self._network = self._builder.create_network(self._network_flags())
        self._recorder = error_recorder(library)
        self._builder.error_recorder = self._recorder
        self._parser = self._trt.OnnxParser(self._network, library.logger)
        self._config = self._builder.create_builder_config()
        self._timing: Any = None
        self._monitor: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._timing = self._config = self._monitor = None
        self._network = None
        self._parser = None
        self._builder.error_recorder = None
        self._builder = None

    def parse(self, model: bytes) -> None:
        """Read the graph into the network."""
        if self._parser.parse(model):
            return
        faults = []
        for i in range(self._parser.num_errors):
            fault = self._parser.get_error(i)
            where = f"node {fault.node_name()!r} ({fault.node_operator()}): "
            faults.append((where if fault.node_operator() else "") + fault.desc().strip())
        raise BuildError(
            f"{self._name} cannot read the model: {'; '.join(faults) or 'it does not say why'}"
        )

    def check_ends(self, width: int) -> None:
        """Refuse a graph whose inputs or outputs are not a package's."""
        inputs = {
            tensor.name: (tuple(tensor.shape), str(tensor.dtype).rsplit(".", 1)[-1])
            for tensor in map(self._network.get_input, range(self._network.num_inputs))
        }
        outputs = {self._network.get_output(i).name for i in range(self._network.num_outputs)}
        if inputs != {INPUT: ((-1, width), "FLOAT")} or outputs != set(Outputs._fields):
            raise BuildError(
                f"{self._name} reads a graph that maps {inputs} to {sorted(outputs)}; it has to "
                f"map {INPUT!r}, float32 of shape (n, {width}) with a free n, to "
                f"{', '.join(Outputs._fields)}"
            )

    def configure(self, request: BuildRequest, timing: TimingCache | None) -> None:
        """Say how to compile."""
        trt, config = self._trt, self._config
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, request.memory)
        if request.precision == "tf32":
            config.set_flag(trt.BuilderFlag.TF32)
        else:
            config.clear_flag(trt.BuilderFlag.TF32)
        for profile in request.profiles:
            shape = self._builder.create_optimization_profile()
            shape.set_shape(INPUT, *((rows, request.width) for rows in profile))
            if config.add_optimization_profile(shape) < 0:
                raise BuildError(f"{self._name} refuses {profile}: {errors_in(self._recorder)}")
        if self._library.flavour == "tensorrt_rtx":
            self._aim(request.compute_capability)
        elif request.compute_capability is not None:
            raise BuildError(
                f"{self._name} builds for the GPU it runs on alone; tensorrt_rtx does for others"
            )
        elif timing is not None:
            self._timing = config.create_timing_cache(timing.content)
            if not config.set_timing_cache(self._timing, False):
                # Of another version or card: begin anew rather than without.
                self._timing = config.create_timing_cache(b"")
                config.set_timing_cache(self._timing, False)

    def run(self, progress: Progress, cancelled: Cancelled) -> bytes:
        """Compile."""
        self._monitor = progress_monitor(self._library, progress, cancelled)
        self._config.progress_monitor = self._monitor
        plan = self._builder.build_serialized_network(self._network, self._config)
        if self._monitor.raised is not None:
            raise self._monitor.raised
        if self._monitor.gave_up:
            raise BuildCancelledError("the build of the engine was cancelled")
        if plan is None:
            raise BuildError(f"{self._name} cannot build the model: {errors_in(self._recorder)}")
        return bytes(memoryview(plan))

    def save_timing(self, timing: TimingCache) -> None:
        """Keep what the build measured."""
        if self._timing is not None:
            timing.content = bytes(memoryview(self._timing.serialize()))

    def _network_flags(self) -> int:
        flag = getattr(self._trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
        return 0 if flag is None else 1 << int(flag)  # where there is no flag, all are

    def _aim(self, compute_capability: tuple[int, int] | None) -> None:
        kinds = self._trt.ComputeCapability
        name = "CURRENT"
        if compute_capability is not None:
            name = "SM{}{}".format(*compute_capability)
        self._config.num_compute_capabilities = 1
        if not hasattr(kinds, name) or not self._config.set_compute_capability(
            getattr(kinds, name), 0
        ):
            known = [kind for kind in kinds.__members__ if kind.startswith("SM")]
            raise BuildError(
                f"{self._name} does not build for {name}: {errors_in(self._recorder)}. "
                f"It knows {', '.join(known)}"
            )
