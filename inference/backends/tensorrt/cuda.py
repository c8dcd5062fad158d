"""The few things that the engine asks of CUDA, behind one protocol.

Handles and device addresses are plain numbers, as TensorRT takes them. Every implementation checks
what each call returns and raises `inference.backends.tensorrt.errors`' kinds.
"""

from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]


class Cuda(Protocol):
    """One device, and what is allocated on it. Any thread may call, inside of `current`.

    Attributes:
        name: of the package that calls CUDA, such as ``cuda-bindings``.
        has_graphs: whether work can be captured and launched as a graph.

    Methods that free what they are given, and copies, raise no `DeviceMemoryError`; all others may
    raise each of `CudaError`, `DeviceMemoryError` and `DeviceLostError`.
    """

    name: str
    has_graphs: bool

    def current(self) -> AbstractContextManager[Any]:
        """Make the device this thread's own; every other method is called inside of it."""

    def memory(self) -> tuple[int, int]:
        """Return the device's free and whole memory in bytes."""

    def allocate(self, size: int) -> int:
        """Return the address of `size` bytes on the device, aligned to 256 at least."""

    def free(self, address: int) -> None:
        """Free what `allocate` returned."""

    def allocate_pinned(self, size: int) -> Bytes:
        """Return `size` bytes of host memory that the device can copy by itself, all 0."""

    def free_pinned(self, memory: Bytes) -> None:
        """Free what `allocate_pinned` returned; no view of it may be used after that."""

    def copy_to_device(self, device: int, host: Bytes, stream: int) -> None:
        """Begin to copy pinned memory, or a part of it, to a device address."""

    def copy_to_host(self, host: Bytes, device: int, stream: int) -> None:
        """Begin to copy from a device address into pinned memory, or a part of it."""

    def new_stream(self) -> int:
        """Return a stream, which does not wait for the default one."""

    def free_stream(self, stream: int) -> None:
        """Free a stream."""

    def synchronise(self, stream: int) -> None:
        """Wait for all that a stream was given."""

    def new_event(self) -> int:
        """Return an event, without a time."""

    def free_event(self, event: int) -> None:
        """Free an event."""

    def record(self, event: int, stream: int) -> None:
        """Let the event happen when the stream has done all that it was given so far."""

    def wait(self, event: int) -> None:
        """Wait until a recorded event has happened."""

    def begin_capture(self, stream: int) -> None:
        """From now on note down what this thread gives to the stream, and do nothing of it."""

    def end_capture(self, stream: int) -> int:
        """Return what was noted down since, as a graph that can be launched."""

    def abandon_capture(self, stream: int) -> None:
        """End a capture that went wrong; raises nothing."""

    def launch(self, graph: int, stream: int) -> None:
        """Give a whole graph to a stream."""

    def free_graph(self, graph: int) -> None:
        """Free a graph."""

    def check(self) -> None:
        """Raise what an earlier call or kernel of TensorRT's left behind, if anything."""
