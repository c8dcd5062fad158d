"""What runs a plan, behind one protocol: the library itself, or for tests ONNX Runtime."""

from collections.abc import Mapping
from typing import Protocol


class Context(Protocol):
    """One execution of a plan at a time, within one profile."""

    def prepare(self, rows: int, addresses: Mapping[str, int]) -> None:
        """Set the batch size, and the device address of each input and output.

        Raises:
            EngineError: the profile has no such size, or an address is refused.
        """

    def enqueue(self, stream: int) -> None:
        """Give the kernels to a stream.

        Raises:
            EngineError: they cannot be launched.
            DeviceLostError: the GPU is lost to this process.
        """


class LoadedPlan(Protocol):
    """A plan on the device."""

    def new_context(self, profile: int, stream: int) -> Context:
        """Return a context for a profile; what it has to copy first goes through a stream.

        Raises:
            EngineError: there is no memory for it.
        """

    def save(self) -> None:
        """Keep on disk what was compiled while running, for the next start; raises nothing."""

    def close(self) -> None:
        """Free the plan; its contexts are freed before."""


class Runtime(Protocol):
    """Loads plans.

    Attributes:
        backend: what an engine over it calls itself.
    """

    backend: str

    def load(self, plan: bytes) -> LoadedPlan:
        """Load a plan; holds the interpreter's lock for as long as it takes.

        Raises:
            EngineError: it is no plan for this library and GPU.
        """
