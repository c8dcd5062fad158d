"""The two packages that call CUDA: every code that they get is checked."""

from types import SimpleNamespace

import numpy as np
import pytest

from inference.backends.tensorrt.cuda_bindings import CudaBindings
from inference.backends.tensorrt.driver import NoGpuError, probe
from inference.backends.tensorrt.errors import (
    CudaError,
    DeviceLostError,
    DeviceMemoryError,
    error_of,
)
from inference.backends.tensorrt.pycuda_driver import PyCuda

try:
    probe()
    GPU = True
except NoGpuError:
    GPU = False

BUFFER = np.zeros(64, np.uint8)
CALLS = [
    lambda cuda: cuda.memory(),
    lambda cuda: cuda.allocate(64),
    lambda cuda: cuda.free(64),
    lambda cuda: cuda.allocate_pinned(64),
    lambda cuda: cuda.free_pinned(BUFFER),
    lambda cuda: cuda.copy_to_device(64, BUFFER, 1),
    lambda cuda: cuda.copy_to_host(BUFFER, 64, 1),
    lambda cuda: cuda.new_stream(),
    lambda cuda: cuda.free_stream(1),
    lambda cuda: cuda.synchronise(1),
    lambda cuda: cuda.new_event(),
    lambda cuda: cuda.free_event(1),
    lambda cuda: cuda.record(1, 1),
    lambda cuda: cuda.wait(1),
    lambda cuda: cuda.begin_capture(1),
    lambda cuda: cuda.end_capture(1),
    lambda cuda: cuda.launch(1, 1),
    lambda cuda: cuda.free_graph(1),
    lambda cuda: cuda.check(),
]


@pytest.fixture(scope="module")
def runtime():
    return pytest.importorskip("cuda.bindings.runtime", reason="cuda-bindings is not installed")


class Working:
    """NVIDIA's module, but a device of number 0 can be set and has a context."""

    def __init__(self, runtime):
        self._runtime = runtime
        self.works = True

    def __getattr__(self, name):
        if self.works and name in ("cudaSetDevice", "cudaFree"):
            return lambda *arguments: (self._runtime.cudaError_t.cudaSuccess,)
        return getattr(self._runtime, name)


@pytest.mark.skipif(GPU, reason="there is a GPU here: the calls would succeed")
@pytest.mark.parametrize("call", CALLS)
def test_cuda_bindings_checks_every_call(runtime, call):
    """By the real package, which answers everything with error 35 where there is no driver."""
    working = Working(runtime)
    cuda = CudaBindings(working)
    working.works = False
    with pytest.raises(CudaError, match=r"cuda\w+: CUDA error 35: CUDA driver version is insuff"):
        call(cuda)
    cuda.abandon_capture(1)


@pytest.mark.skipif(GPU, reason="there is a GPU here: it can be used")
def test_cuda_bindings_needs_a_driver(runtime):
    with pytest.raises(CudaError, match="cudaSetDevice: CUDA error 35"):
        CudaBindings(runtime)


@pytest.mark.parametrize(
    ("code", "kind", "said"),
    [
        (2, DeviceMemoryError, r"out of memory.*engine\.slots"),
        (1, CudaError, "CUDA error 1: text"),
        (700, DeviceLostError, r"illegal memory access \(CUDA error 700: text\).*started again"),
        (214, DeviceLostError, "ECC.*Xid"),
        (719, DeviceLostError, "a launch failed"),
    ],
)
def test_an_error_is_of_its_kind(code, kind, said):
    error = error_of(code, "call", "text")
    assert type(error) is kind
    with pytest.raises(kind, match=said):
        raise error


class Driver:
    """``pycuda.driver`` as far as it is used: its errors have a text and no code."""

    class Error(Exception):
        pass

    class MemoryError(Error):
        pass

    def __init__(self):
        self.error = None
        self.pushed = []
        self.Context = SimpleNamespace(pop=lambda: self.pushed.pop())

    def init(self):
        pass

    def Device(self, number):  # noqa: N802
        context = SimpleNamespace(push=lambda: self.pushed.append(number))
        return SimpleNamespace(retain_primary_context=lambda: context)

    def mem_get_info(self):
        if self.error is not None:
            raise self.error
        return 5, 9


def test_pycuda_makes_its_context_current_and_takes_it_back():
    driver = Driver()
    cuda = PyCuda(driver)
    with cuda.current():
        assert driver.pushed == [0]
        assert cuda.memory() == (5, 9)
        cuda.check()
    assert driver.pushed == []


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (Driver.MemoryError("cuMemAlloc failed: out of memory"), DeviceMemoryError),
        (Driver.Error("cuStreamSynchronize failed: launch failed"), DeviceLostError),
        (Driver.Error("cuEventSynchronize failed: invalid/unknown error code"), DeviceLostError),
        (Driver.Error("cuMemcpyHtoDAsync failed: ECC uncorrectable"), DeviceLostError),
        (Driver.Error("cuLaunchKernel failed: launch out of resources"), CudaError),
        (Driver.Error("cuMemGetInfo failed: invalid value"), CudaError),
    ],
)
def test_pycudas_errors_are_of_their_kind(error, kind):
    driver = Driver()
    cuda = PyCuda(driver)
    driver.error = error
    with pytest.raises(kind) as raised:
        cuda.check()
    assert type(raised.value) is kind


def test_pycuda_has_no_graphs():
    cuda = PyCuda(Driver())
    assert not cuda.has_graphs
    for call in (
        lambda: cuda.begin_capture(1),
        lambda: cuda.end_capture(1),
        lambda: cuda.launch(1, 1),
        lambda: cuda.free_graph(1),
    ):
        with pytest.raises(CudaError, match="pycuda has no CUDA graphs"):
            call()
    cuda.abandon_capture(1)
