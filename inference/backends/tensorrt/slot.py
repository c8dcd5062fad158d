"""One batch's way through the GPU: buffers, contexts and a CUDA graph per batch size."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack

import numpy as np
from numpy.typing import NDArray

from inference.backends.tensorrt.build import INPUT
from inference.backends.tensorrt.cuda import Cuda
from inference.backends.tensorrt.profiles import Profile, profile_index
from inference.backends.tensorrt.runtime import Context, LoadedPlan
from inference.engine.protocol import Outputs

_FLOAT = 4
_ALIGNMENT = 256
"""Of a tensor's address, as TensorRT wants it."""


class Slot:
    """Copies a batch in, runs it, copies its answers out; one at a time.

    Rows are written into pinned memory, padded with zero rows up to the bucket. The three outputs
    lie one behind the other, so that one copy fetches them. Everything is freed by the stack that
    it was made with, in reverse order.

    Args:
        cuda: the device; current.
        plan: what to run.
        profiles: of the plan.
        buckets: batch sizes, ascending.
        width: columns of a row.
        stream: where the batch goes; slots may share one.
        stack: gets what frees the slot.

    Raises:
        EngineError: there is no memory for it.
    """

    def __init__(
        self,
        cuda: Cuda,
        plan: LoadedPlan,
        *,
        profiles: Sequence[Profile],
        buckets: Sequence[int],
        width: int,
        stream: int,
        stack: ExitStack,
    ) -> None:
        self._cuda = cuda
        self._stream = stream
        self._profiles = profiles
        self._width = width
        self._rows = 0
        self._bucket = 0
        largest = buckets[-1]
        self._pinned_in = cuda.allocate_pinned(largest * width * _FLOAT)
        stack.callback(cuda.free_pinned, self._pinned_in)
        self._pinned_out = cuda.allocate_pinned(len(Outputs._fields) * _stride(largest))
        stack.callback(cuda.free_pinned, self._pinned_out)
        self._device_in = cuda.allocate(self._pinned_in.nbytes)
        stack.callback(cuda.free, self._device_in)
        self._device_out = cuda.allocate(self._pinned_out.nbytes)
        stack.callback(cuda.free, self._device_out)
        self._event = cuda.new_event()
        stack.callback(cuda.free_event, self._event)
        self._graphs: dict[int, int] = {}
        # Emptied by the stack: contexts have to be freed before the plan is.
        self._contexts: list[Context] = []
        stack.callback(self._contexts.clear)
        for profile in range(len(profiles)):
            self._contexts.append(plan.new_context(profile, stream))
        stack.callback(self.free_graphs)

    def capture(self, bucket: int) -> None:
        """Make a CUDA graph of a batch size; copies in and out are part of it.

        The batch runs once before, since a library does things at a shape's first run that cannot
        be captured.

        Raises:
            EngineError: capturing failed; the batch size runs without a graph.
            DeviceLostError: the GPU is lost to this process.
        """
        self._enqueue(bucket)
        self._cuda.synchronise(self._stream)
        self._cuda.begin_capture(self._stream)
        try:
            self._enqueue(bucket)
            self._graphs[bucket] = self._cuda.end_capture(self._stream)
        except BaseException:
            self._cuda.abandon_capture(self._stream)
            raise

    def submit(self, rows: NDArray[np.float32], bucket: int) -> None:
        """Send a batch on its way.

        Args:
            rows: (n, width), contiguous; copied before this returns.
            bucket: the batch size to pad to, at least n.

        Raises:
            EngineError: it cannot be launched.
            DeviceLostError: the GPU is lost to this process.
        """
        n = len(rows)
        pinned = self._pinned_in.view(np.float32)[: bucket * self._width]
        pinned[: n * self._width] = rows.reshape(-1)
        pinned[n * self._width :] = 0
        self._rows, self._bucket = n, bucket
        if (graph := self._graphs.get(bucket)) is not None:
            self._cuda.launch(graph, self._stream)
        else:
            self._enqueue(bucket)
        self._cuda.record(self._event, self._stream)

    def collect(self, into: Outputs) -> None:
        """Wait for the batch, and copy its answers into three arrays of its n rows.

        Raises:
            CudaError: it failed.
            DeviceLostError: the GPU is lost to this process.
        """
        self._cuda.wait(self._event)
        stride = _stride(self._bucket)
        for i, answer in enumerate(into):
            begin = i * stride
            answer[:] = self._pinned_out[begin : begin + self._rows * _FLOAT].view(np.float32)

    def settle(self) -> None:
        """Wait until nothing of a batch that failed is still going on."""
        self._cuda.synchronise(self._stream)

    def free_graphs(self) -> None:
        """Run without graphs from now on."""
        while self._graphs:
            self._cuda.free_graph(self._graphs.popitem()[1])

    def _enqueue(self, bucket: int) -> None:
        context = self._contexts[profile_index(self._profiles, bucket)]
        context.prepare(bucket, self._addresses(bucket))
        bytes_in = bucket * self._width * _FLOAT
        bytes_out = len(Outputs._fields) * _stride(bucket)
        self._cuda.copy_to_device(self._device_in, self._pinned_in[:bytes_in], self._stream)
        context.enqueue(self._stream)
        self._cuda.copy_to_host(self._pinned_out[:bytes_out], self._device_out, self._stream)

    def _addresses(self, bucket: int) -> Mapping[str, int]:
        stride = _stride(bucket)
        outputs = {name: self._device_out + i * stride for i, name in enumerate(Outputs._fields)}
        return {INPUT: self._device_in, **outputs}


def _stride(bucket: int) -> int:
    """Bytes from one output's first answer to the next's."""
    return -(-bucket * _FLOAT // _ALIGNMENT) * _ALIGNMENT
