"""`Cuda` in host memory: streams run in order, and only when somebody waits for them.

So a copy reads its source as late as it can, and an answer that is read without waiting is not
there yet: mistakes of order show, which on a fast card would show once in a million batches.
"""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from threading import RLock

import numpy as np

from inference.backends.tensorrt.cuda import Bytes
from inference.backends.tensorrt.errors import CudaError, error_of

_ALIGNMENT = 256
_OUT_OF_MEMORY, _INVALID = 2, 1

_Work = Callable[[], None]


class MemoryCuda:
    """See `inference.backends.tensorrt.cuda.Cuda`.

    Args:
        total: bytes of the device.
        has_graphs: whether capturing is possible.

    Attributes:
        fail: called with the name of each method; returns a CUDA error code for it, 0 for none.
        live: what is allocated and not freed, by handle: what it is.
        freed: what was freed, in order.
    """

    name = "memory"

    def __init__(self, total: int = 1 << 30, has_graphs: bool = True) -> None:
        self.has_graphs = has_graphs
        self.fail: Callable[[str], int] = lambda method: 0
        self.live: dict[int, str] = {}
        self.freed: list[str] = []
        self._total = total
        self._handles = count(_ALIGNMENT, _ALIGNMENT)
        self._next_address = 1 << 40
        self._blocks: dict[int, Bytes] = {}
        self._queues: dict[int, deque[_Work]] = {}
        self._events: dict[int, tuple[int, bool]] = {}
        self._graphs: dict[int, tuple[_Work, ...]] = {}
        self._capturing: dict[int, list[_Work]] = {}
        self._sticky = 0
        self._lock = RLock()

    @contextmanager
    def current(self) -> Iterator[None]:
        """Nothing to do: host memory belongs to all threads."""
        yield

    def memory(self) -> tuple[int, int]:
        """Return free and whole memory in bytes."""
        self._begin("memory")
        used = sum(block.nbytes for block in self._blocks.values())
        return self._total - used, self._total

    def allocate(self, size: int) -> int:
        """Return an address, filled with what a real card might have there: anything."""
        with self._begun("allocate"):
            if size > self.memory()[0]:
                raise error_of(_OUT_OF_MEMORY, "allocate", "out of memory")
            address = self._next_address
            self._next_address += -(-size // _ALIGNMENT) * _ALIGNMENT + _ALIGNMENT
            self._blocks[address] = np.full(size, 0xFF, np.uint8)
            self.live[address] = "device"
            return address

    def free(self, address: int) -> None:
        """Free device memory."""
        with self._begun("free"):
            self._drop(address, "device")
            del self._blocks[address]

    def allocate_pinned(self, size: int) -> Bytes:
        """Return host memory."""
        with self._begun("allocate_pinned"):
            memory = np.zeros(size, np.uint8)
            self.live[memory.ctypes.data] = "pinned"
            return memory

    def free_pinned(self, memory: Bytes) -> None:
        """Free host memory."""
        with self._begun("free_pinned"):
            self._drop(memory.ctypes.data, "pinned")

    def at(self, address: int, size: int) -> Bytes:
        """Return a view of device memory.

        Raises:
            DeviceLostError: it is no allocated memory, or ends beyond it: an illegal address.
        """
        for start, block in self._blocks.items():
            if start <= address and address + size <= start + block.nbytes:
                return block[address - start : address - start + size]
        self._sticky = 700
        raise error_of(self._sticky, "at", f"{size} bytes at {address}")

    def copy_to_device(self, device: int, host: Bytes, stream: int) -> None:
        """Begin to copy to the device."""
        self._begin("copy_to_device")
        self.give(stream, lambda: np.copyto(self.at(device, host.nbytes), host))

    def copy_to_host(self, host: Bytes, device: int, stream: int) -> None:
        """Begin to copy from the device."""
        self._begin("copy_to_host")
        self.give(stream, lambda: np.copyto(host, self.at(device, host.nbytes)))

    def new_stream(self) -> int:
        """Return a stream."""
        with self._begun("new_stream"):
            stream = self._new("stream")
            self._queues[stream] = deque()
            return stream

    def free_stream(self, stream: int) -> None:
        """Free a stream."""
        with self._begun("free_stream"):
            self._drop(stream, "stream")
            del self._queues[stream]

    def give(self, stream: int, work: _Work) -> None:
        """Let a stream do something when its turn comes."""
        with self._lock:
            noted = self._capturing.get(stream)
            (self._queues[stream] if noted is None else noted).append(work)

    def synchronise(self, stream: int) -> None:
        """Do all that a stream was given."""
        with self._begun("synchronise"):
            if stream in self._capturing:
                raise error_of(900, "synchronise", "operation not permitted while capturing")
            queue = self._queues[stream]
            while queue:
                queue.popleft()()

    def new_event(self) -> int:
        """Return an event."""
        with self._begun("new_event"):
            event = self._new("event")
            self._events[event] = (0, True)
            return event

    def free_event(self, event: int) -> None:
        """Free an event."""
        with self._begun("free_event"):
            self._drop(event, "event")
            del self._events[event]

    def record(self, event: int, stream: int) -> None:
        """Record an event."""
        with self._begun("record"):
            self._events[event] = (stream, False)

            def happen() -> None:
                self._events[event] = (stream, True)

            self.give(stream, happen)

    def wait(self, event: int) -> None:
        """Do what comes before an event, and no more."""
        with self._begun("wait"):
            stream, _ = self._events[event]
            while not self._events[event][1]:
                self._queues[stream].popleft()()

    def begin_capture(self, stream: int) -> None:
        """Note down instead of doing."""
        with self._begun("begin_capture"):
            if not self.has_graphs:
                raise error_of(801, "begin_capture", "operation not supported")
            self._capturing[stream] = []

    def end_capture(self, stream: int) -> int:
        """Return what was noted down."""
        with self._begun("end_capture"):
            graph = self._new("graph")
            self._graphs[graph] = tuple(self._capturing.pop(stream))
            return graph

    def abandon_capture(self, stream: int) -> None:
        """Forget what was noted down."""
        with self._lock:
            self._capturing.pop(stream, None)

    def launch(self, graph: int, stream: int) -> None:
        """Launch a graph."""
        with self._begun("launch"):
            for work in self._graphs[graph]:
                self.give(stream, work)

    def free_graph(self, graph: int) -> None:
        """Free a graph."""
        with self._begun("free_graph"):
            self._drop(graph, "graph")
            del self._graphs[graph]

    def check(self) -> None:
        """Raise what was left behind."""
        self._begin("check")

    @contextmanager
    def _begun(self, method: str) -> Iterator[None]:
        with self._lock:
            self._begin(method)
            yield

    def _begin(self, method: str) -> None:
        """Fail as told; what makes the device unusable does so for good."""
        code = self._sticky or self.fail(method)
        if code:
            error = error_of(code, method, "as told")
            if not isinstance(error, CudaError):
                self._sticky = code
            raise error

    def _new(self, kind: str) -> int:
        handle = next(self._handles)
        self.live[handle] = kind
        return handle

    def _drop(self, handle: int, kind: str) -> None:
        if self.live.get(handle) != kind:
            raise error_of(_INVALID, f"free of a {kind}", "it is not there")
        del self.live[handle]
        self.freed.append(kind)
