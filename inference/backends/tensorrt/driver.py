"""Looks for a GPU through the driver alone, before any library that may crash without one.

``Runtime()`` of some TensorRT versions ends the process where there is no driver, so this is asked
first. See the CUDA driver API's "Initialization", "Version Management" and "Device Management".
"""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference.engine.protocol import EngineError

LIBRARY = "libcuda.so.1"
_KERNEL_MODULE = Path("/sys/module/nvidia/version")
_COMPUTE_CAPABILITY_MAJOR, _COMPUTE_CAPABILITY_MINOR = 75, 76
_NAME_BYTES = 256
_REMEDY = {
    35: "the driver is older than this CUDA needs: update it",
    46: "another process holds the device in exclusive mode: free it",
    100: "no GPU is visible: check `nvidia-smi`, CUDA_VISIBLE_DEVICES and, in a container, that it "
    "was started with GPUs",
    803: "the user-space driver and the kernel's differ: install one and the same, or restart",
    804: "forward compatibility is not supported on this card: remove the cuda-compat package",
}


class NoGpuError(EngineError):
    """There is no usable GPU here; the message says what is missing and what to do."""


@dataclass(frozen=True)
class Gpu:
    """A device as its driver describes it.

    Attributes:
        name: such as ``NVIDIA H200``.
        compute_capability: such as ``(9, 0)``.
        memory: bytes.
        driver: the CUDA version that the driver offers, and the driver's own where the kernel
            says it, such as ``CUDA 13.0, 580.65.06``.
    """

    name: str
    compute_capability: tuple[int, int]
    memory: int
    driver: str


def probe(load: Callable[[str], Any] = ctypes.CDLL, kernel_module: Path = _KERNEL_MODULE) -> Gpu:
    """Return the first visible GPU; its memory is not touched and no context is made.

    Args:
        load: opens a shared library.
        kernel_module: the file in which the kernel says the driver's version.

    Raises:
        NoGpuError: there is no driver, or it finds no device.
    """
    try:
        cuda = load(LIBRARY)
    except OSError:
        raise NoGpuError(
            f"there is no NVIDIA driver here ({LIBRARY} is missing): install it, or set "
            "engine.backend = 'cpu'"
        ) from None
    _check(cuda, cuda.cuInit(0), "cuInit")
    version = _ask_int(cuda, "cuDriverGetVersion")
    if _ask_int(cuda, "cuDeviceGetCount") == 0:
        raise NoGpuError(f"the NVIDIA driver finds no device: {_REMEDY[100]}")
    device = _ask_int(cuda, "cuDeviceGet", 0)
    name = ctypes.create_string_buffer(_NAME_BYTES)
    _check(cuda, cuda.cuDeviceGetName(name, _NAME_BYTES, device), "cuDeviceGetName")
    memory = ctypes.c_size_t()
    _check(cuda, cuda.cuDeviceTotalMem_v2(ctypes.byref(memory), device), "cuDeviceTotalMem")
    major = _ask_int(cuda, "cuDeviceGetAttribute", _COMPUTE_CAPABILITY_MAJOR, device)
    minor = _ask_int(cuda, "cuDeviceGetAttribute", _COMPUTE_CAPABILITY_MINOR, device)
    driver = f"CUDA {version // 1000}.{version % 1000 // 10}"
    if kernel_module.is_file():
        driver += f", {kernel_module.read_text(encoding='utf-8').strip()}"
    return Gpu(name.value.decode(), (major, minor), memory.value, driver)


def _ask_int(cuda: Any, function: str, *arguments: int) -> int:
    answer = ctypes.c_int()
    _check(cuda, getattr(cuda, function)(ctypes.byref(answer), *arguments), function)
    return answer.value


def _check(cuda: Any, code: int, function: str) -> None:
    if code == 0:
        return
    text = ctypes.c_char_p()
    cuda.cuGetErrorString(code, ctypes.byref(text))
    said = text.value.decode() if text.value else "an error that it does not know"
    remedy = _REMEDY.get(code, "check `nvidia-smi`, or set engine.backend = 'cpu'")
    raise NoGpuError(f"the NVIDIA driver answers {function} with {code} ({said}): {remedy}")
