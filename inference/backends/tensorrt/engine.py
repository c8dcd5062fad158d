"""The GPU engine: batches over slots, padded to buckets, pipelined where they are larger."""

import logging
from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from inference.backends.tensorrt.cuda import Cuda
from inference.backends.tensorrt.errors import DeviceLostError
from inference.backends.tensorrt.profiles import profiles_of
from inference.backends.tensorrt.runtime import LoadedPlan, Runtime
from inference.backends.tensorrt.slot import Slot
from inference.backends.tensorrt.slot_pool import SlotPool
from inference.engine.protocol import EngineError, EngineInfo, FeatureSelection, Outputs
from inference.engine.settings import EngineSettings
from inference.packages.package import ModelPackage
from streams.base.closing import ClosedAtEnd

logger = logging.getLogger(__name__)

_STREAMS = 2
"""One batch is copied while another one computes; more would only share the same copy engines."""

GRAPH, LAUNCHES = "cuda-graph", "launches"
"""How a batch of a bucket is run, in `EngineInfo.routes`."""


class _Part(NamedTuple):
    """A piece of a matrix on its way."""

    slot: Slot
    rows: slice


class TensorRtEngine(ClosedAtEnd):
    """An `inference.engine.protocol.Engine` on a GPU; ready to answer when it is made.

    Args:
        package: the model, or rather its columns: `plan` is what is run.
        feature_names: names of the columns of the matrices that `infer` will get; ``None`` means
            exactly the columns that the package reads.
        plan: of the package's tensor form, built for the settings' buckets.
        settings: buckets, slots, graphs and precision.
        cuda: the device.
        runtime: what runs the plan.
        device: what to call the device, such as ``cuda:0 NVIDIA H200``.

    Raises:
        EngineError: a feature is missing, the plan is refused, or there is no memory for it.
        DeviceLostError: the GPU is lost to this process.
    """

    def __init__(
        self,
        package: ModelPackage,
        feature_names: Sequence[str] | None,
        *,
        plan: bytes,
        settings: EngineSettings,
        cuda: Cuda,
        runtime: Runtime,
        device: str,
    ) -> None:
        self._select = FeatureSelection(package.features.names, feature_names)
        self._buckets = settings.buckets
        self._cuda = cuda
        self._lost: DeviceLostError | None = None
        self._held = ExitStack()
        try:
            with cuda.current():
                loaded = runtime.load(plan)
                self._held.callback(loaded.close)
                width = len(package.features.names)
                slots = self._make_slots(loaded, settings, width)
                graphs = settings.cuda_graphs and self._capture(slots)
                loaded.save()
        except BaseException:
            self._free()
            raise
        self._pool = SlotPool(slots)
        self._info = EngineInfo(
            runtime.backend,
            device,
            settings.precision,
            self._select.width,
            settings.buckets,
            (GRAPH if graphs else LAUNCHES,) * len(settings.buckets),
        )

    @property
    def info(self) -> EngineInfo:
        """What it is and offers."""
        return self._info

    def warm_up(self) -> None:
        """Answer one batch of every bucket."""
        for size in self._buckets:
            self.infer(np.zeros((size, self._select.width), np.float32))

    def infer(self, matrix: NDArray[Any]) -> Outputs:
        """Score the rows of a (n, width) matrix; see `inference.engine.protocol.Engine.infer`.

        Raises:
            EngineError: wrong shape, the engine is closed, or the GPU refuses the batch.
            DeviceLostError: the GPU is lost to this process, which has to end.
        """
        if self._lost is not None:
            raise self._lost
        rows = self._select(matrix)
        outputs = Outputs(*(np.empty(len(rows), np.float32) for _ in Outputs._fields))
        first = self._pool.take()
        try:
            with self._cuda.current():
                self._run(rows, outputs, first)
        except DeviceLostError as error:
            self._lost = error
            raise
        return outputs

    def close(self) -> None:
        """Wait for what is being answered, and free the model; a second call does nothing."""
        self._pool.close()
        self._free()

    def _make_slots(self, loaded: LoadedPlan, settings: EngineSettings, width: int) -> list[Slot]:
        streams = []
        for _ in range(min(_STREAMS, settings.slots)):
            streams.append(self._cuda.new_stream())
            self._held.callback(self._cuda.free_stream, streams[-1])
        return [
            Slot(
                self._cuda,
                loaded,
                profiles=profiles_of(settings.buckets),
                buckets=settings.buckets,
                width=width,
                stream=streams[i % len(streams)],
                stack=self._held,
            )
            for i in range(settings.slots)
        ]

    def _capture(self, slots: Sequence[Slot]) -> bool:
        """Make all graphs; whether there are any. All or none, so that all slots are alike."""
        if not self._cuda.has_graphs:
            logger.info(
                "%s has no CUDA graphs: launching each copy and kernel of a batch by itself, "
                "which is slower",
                self._cuda.name,
            )
            return False
        try:
            for slot in slots:
                for bucket in self._buckets:
                    slot.capture(bucket)
        except EngineError as error:
            logger.warning(
                "can't make CUDA graphs, launching each copy and kernel of a batch by itself, "
                "which is slower: %s",
                error,
            )
            for slot in slots:
                slot.free_graphs()
            return False
        return True

    def _run(self, rows: NDArray[np.float32], outputs: Outputs, first: Slot) -> None:
        """Send all parts through `first` and what other slots are free meanwhile."""
        under_way: deque[_Part] = deque()
        slot: Slot | None = first
        try:
            for start in range(0, len(rows), self._buckets[-1]):
                if slot is None:
                    slot = self._pool.take_if_free() or self._collect(under_way, outputs)
                part = rows[start : start + self._buckets[-1]]
                under_way.append(_Part(slot, slice(start, start + len(part))))
                slot = None
                bucket = self._buckets[bisect_left(self._buckets, len(part))]
                under_way[-1].slot.submit(part, bucket)
            while under_way:
                self._pool.give_back(self._collect(under_way, outputs))
        finally:
            if slot is not None:
                self._pool.give_back(slot)
            for failed in under_way:
                self._settle(failed.slot)
                self._pool.give_back(failed.slot)

    def _collect(self, under_way: deque[_Part], outputs: Outputs) -> Slot:
        """Fetch the answers of the oldest part; its slot is free then."""
        slot, rows = under_way[0]
        slot.collect(Outputs(*(values[rows] for values in outputs)))
        under_way.popleft()
        return slot

    def _settle(self, slot: Slot) -> None:
        try:
            slot.settle()
        except (EngineError, DeviceLostError) as error:
            logger.warning("waiting for the GPU to end a failed batch failed too: %s", error)

    def _free(self) -> None:
        """Free in reverse order; what cannot be freed is only said, since nothing can be done."""
        try:
            with self._cuda.current():
                self._held.close()
        except (EngineError, DeviceLostError) as error:
            logger.warning("closing the engine failed, some GPU memory may stay in use: %s", error)
