"""`Cuda` by NVIDIA's ``cuda-bindings``: the CUDA runtime, which TensorRT itself uses."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from inference.backends.tensorrt.cuda import Bytes
from inference.backends.tensorrt.errors import error_of


class CudaBindings:
    """See `inference.backends.tensorrt.cuda.Cuda`.

    Args:
        device: its number among the visible ones.
        runtime: the module ``cuda.bindings.runtime``.

    Raises:
        CudaError: the device cannot be used.
    """

    name = "cuda-bindings"
    has_graphs = True

    def __init__(self, runtime: Any, device: int = 0) -> None:
        self._runtime = runtime
        self._device = device
        with self.current():
            self._call("cudaFree", 0)  # makes the context

    @contextmanager
    def current(self) -> Iterator[None]:
        """Make the device this thread's own."""
        self._call("cudaSetDevice", self._device)
        yield

    def memory(self) -> tuple[int, int]:
        """Return free and whole memory in bytes."""
        free, total = self._call("cudaMemGetInfo")
        return int(free), int(total)

    def allocate(self, size: int) -> int:
        """Return the address of device memory."""
        return int(self._call("cudaMalloc", size))

    def free(self, address: int) -> None:
        """Free device memory."""
        self._call("cudaFree", address)

    def allocate_pinned(self, size: int) -> Bytes:
        """Return pinned host memory, all 0."""
        address = int(self._call("cudaHostAlloc", size, self._runtime.cudaHostAllocDefault))
        memory = np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address))
        memory[:] = 0
        return memory

    def free_pinned(self, memory: Bytes) -> None:
        """Free pinned host memory."""
        self._call("cudaFreeHost", memory.ctypes.data)

    def copy_to_device(self, device: int, host: Bytes, stream: int) -> None:
        """Begin to copy to the device."""
        kind = self._runtime.cudaMemcpyKind.cudaMemcpyHostToDevice
        self._call("cudaMemcpyAsync", device, host.ctypes.data, host.nbytes, kind, stream)

    def copy_to_host(self, host: Bytes, device: int, stream: int) -> None:
        """Begin to copy from the device."""
        kind = self._runtime.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self._call("cudaMemcpyAsync", host.ctypes.data, device, host.nbytes, kind, stream)

    def new_stream(self) -> int:
        """Return a stream."""
        flags = self._runtime.cudaStreamNonBlocking
        return int(self._call("cudaStreamCreateWithFlags", flags))

    def free_stream(self, stream: int) -> None:
        """Free a stream."""
        self._call("cudaStreamDestroy", stream)

    def synchronise(self, stream: int) -> None:
        """Wait for a stream."""
        self._call("cudaStreamSynchronize", stream)

    def new_event(self) -> int:
        """Return an event."""
        # Not cudaEventBlockingSync: waking up would take as long as a small batch's whole answer.
        return int(self._call("cudaEventCreateWithFlags", self._runtime.cudaEventDisableTiming))

    def free_event(self, event: int) -> None:
        """Free an event."""
        self._call("cudaEventDestroy", event)

    def record(self, event: int, stream: int) -> None:
        """Record an event."""
        self._call("cudaEventRecord", event, stream)

    def wait(self, event: int) -> None:
        """Wait for an event."""
        self._call("cudaEventSynchronize", event)

    def begin_capture(self, stream: int) -> None:
        """Begin to capture what this thread gives to the stream."""
        mode = self._runtime.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self._call("cudaStreamBeginCapture", stream, mode)

    def end_capture(self, stream: int) -> int:
        """Return the captured graph, ready to launch."""
        graph = self._call("cudaStreamEndCapture", stream)
        try:
            return int(self._call("cudaGraphInstantiate", graph, 0))
        finally:
            self._call("cudaGraphDestroy", graph)

    def abandon_capture(self, stream: int) -> None:
        """End a capture that went wrong."""
        code, graph = self._runtime.cudaStreamEndCapture(stream)
        if int(code) == 0 and int(graph):
            self._runtime.cudaGraphDestroy(graph)
        self._runtime.cudaGetLastError()  # what the capture left behind is no later call's fault

    def launch(self, graph: int, stream: int) -> None:
        """Launch a graph."""
        self._call("cudaGraphLaunch", graph, stream)

    def free_graph(self, graph: int) -> None:
        """Free a graph."""
        self._call("cudaGraphExecDestroy", graph)

    def check(self) -> None:
        """Raise what was left behind."""
        self._call("cudaGetLastError")

    def _call(self, function: str, *arguments: Any) -> Any:
        code, *results = getattr(self._runtime, function)(*arguments)
        if int(code) != 0:
            _, text = self._runtime.cudaGetErrorString(code)
            said = text.decode() if isinstance(text, bytes) else str(text)
            raise error_of(int(code), function, said)
        return results[0] if len(results) == 1 else tuple(results)
