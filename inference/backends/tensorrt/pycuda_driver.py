"""`Cuda` by ``pycuda``: the CUDA driver, in the context that TensorRT's runtime shares.

pycuda 2026.1 has no stream capture and no graphs (its sources name neither), so the engine
launches each copy and kernel by itself here. ``pycuda.autoinit`` is not used: it would make a
context of its own, which belongs to one thread.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from threading import Lock
from typing import Any, NoReturn

import numpy as np

from inference.backends.tensorrt.cuda import Bytes
from inference.backends.tensorrt.errors import CudaError, DeviceMemoryError, error_of

_LOST_TEXTS = {
    "ECC uncorrectable": 214,
    "launch timeout": 702,
    "context is destroyed": 709,
    "device-side assert": 710,
    "launch failed": 719,
    "unknown": 999,  # what pycuda has no text for, an illegal address among it
}
"""pycuda's errors carry its own text in place of CUDA's code."""

_NON_BLOCKING = 1
"""CU_STREAM_NON_BLOCKING, for which pycuda has no name."""


class PyCuda:
    """See `inference.backends.tensorrt.cuda.Cuda`.

    Args:
        driver: the module ``pycuda.driver``.
        device: its number among the visible ones.

    Raises:
        CudaError: the device cannot be used.
    """

    name = "pycuda"
    has_graphs = False

    def __init__(self, driver: Any, device: int = 0) -> None:
        self._driver = driver
        with self._checked("init"):
            driver.init()
            self._context = driver.Device(device).retain_primary_context()
        self._objects: dict[int, Any] = {}
        self._lock = Lock()
        self._events = count(1)

    @contextmanager
    def current(self) -> Iterator[None]:
        """Make the device's primary context this thread's own for a while."""
        with self._checked("Context.push"):
            self._context.push()
        try:
            yield
        finally:
            with self._checked("Context.pop"):
                self._driver.Context.pop()

    def memory(self) -> tuple[int, int]:
        """Return free and whole memory in bytes."""
        with self._checked("mem_get_info"):
            free, total = self._driver.mem_get_info()
        return int(free), int(total)

    def allocate(self, size: int) -> int:
        """Return the address of device memory."""
        with self._checked("mem_alloc"):
            block = self._driver.mem_alloc(size)
        return self._keep(int(block), block)

    def free(self, address: int) -> None:
        """Free device memory."""
        with self._checked("DeviceAllocation.free"):
            self._forget(address).free()

    def allocate_pinned(self, size: int) -> Bytes:
        """Return pinned host memory, all 0."""
        with self._checked("pagelocked_empty"):
            memory: Bytes = self._driver.pagelocked_empty(size, np.uint8)
        memory[:] = 0
        return memory

    def free_pinned(self, memory: Bytes) -> None:
        """Free pinned host memory."""
        owner: Any = memory.base
        with self._checked("PagelockedHostAllocation.free"):
            owner.free()

    def copy_to_device(self, device: int, host: Bytes, stream: int) -> None:
        """Begin to copy to the device."""
        with self._checked("memcpy_htod_async"):
            self._driver.memcpy_htod_async(device, host, self._objects[stream])

    def copy_to_host(self, host: Bytes, device: int, stream: int) -> None:
        """Begin to copy from the device."""
        with self._checked("memcpy_dtoh_async"):
            self._driver.memcpy_dtoh_async(host, device, self._objects[stream])

    def new_stream(self) -> int:
        """Return a stream."""
        with self._checked("Stream"):
            stream = self._driver.Stream(_NON_BLOCKING)
        return self._keep(int(stream.handle), stream)

    def free_stream(self, stream: int) -> None:
        """Free a stream; pycuda does so when nobody refers to it."""
        self._forget(stream)

    def synchronise(self, stream: int) -> None:
        """Wait for a stream."""
        with self._checked("Stream.synchronize"):
            self._objects[stream].synchronize()

    def new_event(self) -> int:
        """Return an event."""
        with self._checked("Event"):
            event = self._driver.Event(self._driver.event_flags.DISABLE_TIMING)
        return self._keep(next(self._events), event)

    def free_event(self, event: int) -> None:
        """Free an event; pycuda does so when nobody refers to it."""
        self._forget(event)

    def record(self, event: int, stream: int) -> None:
        """Record an event."""
        with self._checked("Event.record"):
            self._objects[event].record(self._objects[stream])

    def wait(self, event: int) -> None:
        """Wait for an event."""
        with self._checked("Event.synchronize"):
            self._objects[event].synchronize()

    def begin_capture(self, stream: int) -> None:
        """Refuse: pycuda cannot capture."""
        self._no_graphs()

    def end_capture(self, stream: int) -> int:
        """Refuse: pycuda cannot capture."""
        self._no_graphs()

    def abandon_capture(self, stream: int) -> None:
        """Nothing was begun."""

    def launch(self, graph: int, stream: int) -> None:
        """Refuse: there are no graphs."""
        self._no_graphs()

    def free_graph(self, graph: int) -> None:
        """Refuse: there are no graphs."""
        self._no_graphs()

    def check(self) -> None:
        """Raise what kernels of TensorRT's left behind: the driver says it at the next call."""
        self.memory()

    def _no_graphs(self) -> NoReturn:
        raise CudaError("pycuda has no CUDA graphs: use engine.cuda = 'cuda-bindings' for them")

    def _keep(self, handle: int, value: Any) -> int:
        with self._lock:
            self._objects[handle] = value
        return handle

    def _forget(self, handle: int) -> Any:
        with self._lock:
            return self._objects.pop(handle)

    @contextmanager
    def _checked(self, call: str) -> Iterator[None]:
        try:
            yield
        except self._driver.MemoryError as error:
            raise DeviceMemoryError(
                f"{call}: out of memory ({error}). Make engine.slots or the largest of "
                "engine.buckets smaller, or end what else uses the GPU"
            ) from error
        except self._driver.Error as error:
            text = str(error)
            code = next((code for part, code in _LOST_TEXTS.items() if part in text), None)
            if code is None:
                raise CudaError(f"{call}: {text}") from error
            raise error_of(code, call, text) from error
