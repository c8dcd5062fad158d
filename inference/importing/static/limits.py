"""What a file may cost before it is refused."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bounds on a file, and on the process that tries it.

    Attributes:
        file_mb: the file and its external data together, and all tensors written out, in MiB.
        nodes: of all graphs, with every local function written out.
        nesting: graphs within graphs (``If``, ``Loop``, ``Scan``).
        loop_rounds: of a ``Loop``, times those of the loops around it.
        memory_mb: address space of the process that loads and runs the model, in MiB.
        seconds: of its time.
    """

    file_mb: int = 256
    nodes: int = 50_000
    nesting: int = 8
    loop_rounds: int = 10_000
    memory_mb: int = 4_096
    seconds: int = 120

    @property
    def file_bytes(self) -> int:
        """`file_mb` in bytes."""
        return self.file_mb << 20
