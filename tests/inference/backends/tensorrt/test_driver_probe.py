"""The probe against a driver that is missing, broken, without a device, or fine."""

import ctypes
from pathlib import Path

import pytest

from inference.backends.tensorrt.driver import LIBRARY, Gpu, NoGpuError, probe


class Driver:
    """Answers as ``libcuda`` does: a code, and the result through a pointer."""

    def __init__(self, devices: int = 1, fails: str = "", code: int = 999) -> None:
        self.devices = devices
        self.fails = fails
        self.code = code

    def _answer(self, function, pointer, value):
        if function == self.fails:
            return self.code
        pointer._obj.value = value
        return 0

    def cuInit(self, flags):  # noqa: N802
        return self.code if self.fails == "cuInit" else 0

    def cuDriverGetVersion(self, version):  # noqa: N802
        return self._answer("cuDriverGetVersion", version, 13010)

    def cuDeviceGetCount(self, count):  # noqa: N802
        return self._answer("cuDeviceGetCount", count, self.devices)

    def cuDeviceGet(self, device, ordinal):  # noqa: N802
        return self._answer("cuDeviceGet", device, ordinal)

    def cuDeviceGetName(self, name, size, device):  # noqa: N802
        name.value = b"NVIDIA H200"
        return self.code if self.fails == "cuDeviceGetName" else 0

    def cuDeviceTotalMem_v2(self, memory, device):  # noqa: N802
        return self._answer("cuDeviceTotalMem", memory, 139 << 30)

    def cuDeviceGetAttribute(self, value, attribute, device):  # noqa: N802
        return self._answer("cuDeviceGetAttribute", value, {75: 9, 76: 0}[attribute])

    def cuGetErrorString(self, code, text):  # noqa: N802
        if code == 100:
            text._obj.value = b"no CUDA-capable device is detected"
        return 0


def test_a_device_is_described(tmp_path: Path) -> None:
    module = tmp_path / "version"
    module.write_text("580.65.06\n")
    gpu = probe(lambda name: Driver(), module)
    assert gpu == Gpu("NVIDIA H200", (9, 0), 139 << 30, "CUDA 13.1, 580.65.06")
    assert probe(lambda name: Driver(), tmp_path / "none").driver == "CUDA 13.1"


def test_without_a_driver_it_says_what_to_do() -> None:
    def no_library(name: str) -> ctypes.CDLL:
        return ctypes.CDLL(f"missing-{name}")

    with pytest.raises(NoGpuError, match=rf"no NVIDIA driver here \({LIBRARY} is missing\).*cpu"):
        probe(no_library)


def test_without_a_device_it_says_where_to_look() -> None:
    with pytest.raises(NoGpuError, match=r"finds no device.*CUDA_VISIBLE_DEVICES"):
        probe(lambda name: Driver(devices=0))
    with pytest.raises(NoGpuError, match=r"100 \(no CUDA-capable.*CUDA_VISIBLE_DEVICES"):
        probe(lambda name: Driver(fails="cuInit", code=100))


@pytest.mark.parametrize(
    "function",
    [
        "cuInit",
        "cuDriverGetVersion",
        "cuDeviceGetCount",
        "cuDeviceGet",
        "cuDeviceGetName",
        "cuDeviceTotalMem",
        "cuDeviceGetAttribute",
    ],
)
def test_every_answer_of_the_driver_is_checked(function: str) -> None:
    with pytest.raises(NoGpuError, match=rf"{function} with 999 \(an error that it does not know"):
        probe(lambda name: Driver(fails=function))
