"""What can go wrong on a GPU, apart by what the caller can do about it."""

from inference.engine.protocol import EngineError
from inference.errors import InferenceError


class CudaError(EngineError):
    """A CUDA call was refused; the device goes on working."""


class DeviceMemoryError(CudaError):
    """The device, or the host's pinned memory, is full; what was asked for was not taken."""


class DeviceLostError(InferenceError):
    """The process can use its GPU no more: every later call would fail as well.

    Not an `EngineError`, which may be a batch's or a model's own fault: whoever gets this one ends
    the process, so that a fresh one takes over.
    """


class BuildCancelledError(EngineError):
    """The build of an engine was given up because the caller asked for it."""


_OUT_OF_MEMORY = 2
_LOST = {
    46: "all devices are busy or unavailable",
    101: "the device is gone",
    214: "an uncorrectable ECC error",
    220: "an uncorrectable NVLink error",
    226: "a contained memory error",
    700: "an illegal memory access",
    702: "a kernel ran too long",
    709: "the context was destroyed",
    710: "a device-side assert",
    714: "a hardware stack error",
    715: "an illegal instruction",
    716: "a misaligned address",
    717: "an invalid address space",
    718: "an invalid program counter",
    719: "a launch failed",
    721: "a tensor memory leak",
    999: "an unknown error",
}
"""Codes after which CUDA wants the process ended; the runtime's and the driver's are the same.

See "cudaError" in NVIDIA's CUDA runtime reference: "the process must be terminated and relaunched".
"""


def error_of(code: int, call: str, said: str) -> Exception:
    """Return the error to raise for a CUDA error code.

    Args:
        code: of the CUDA runtime or driver, not 0.
        call: the function that answered with it.
        said: CUDA's own text.
    """
    if code in _LOST:
        return DeviceLostError(
            f"{call}: {_LOST[code]} (CUDA error {code}: {said}). The GPU is lost to this process, "
            "which has to be started again; if it comes back, look at `nvidia-smi -q` and the "
            "kernel's log for Xid errors"
        )
    if code == _OUT_OF_MEMORY:
        return DeviceMemoryError(
            f"{call}: out of memory (CUDA error {code}: {said}). Make engine.slots or the largest "
            "of engine.buckets smaller, or end what else uses the GPU"
        )
    return CudaError(f"{call}: CUDA error {code}: {said}")
