"""The GPU engine's slots, graphs and streams on a device in memory, and its failures."""

import threading

import numpy as np
import pytest

from inference.backends.tensorrt.engine import GRAPH, LAUNCHES
from inference.backends.tensorrt.errors import CudaError, DeviceLostError, DeviceMemoryError
from inference.engine.protocol import EngineError
from inference.engine.settings import EngineSettings
from tests.inference.backends.tensorrt.in_memory import open_in_memory
from tests.inference.backends.tensorrt.memory_cuda import MemoryCuda

SETTINGS = EngineSettings(buckets=(1, 8, 64))
OUT_OF_MEMORY, ILLEGAL_ADDRESS = 2, 700


@pytest.fixture
def cuda():
    return MemoryCuda()


def fail_at(cuda, method, code, skip=0):
    """Let a method of the device fail from its `skip`-th next call on."""
    left = [skip]

    def fail(called):
        if called != method:
            return 0
        left[0] -= 1
        return code if left[0] < 0 else 0

    cuda.fail = fail


@pytest.mark.parametrize("rows", [1, 5, 64, 65, 64 * 3, 64 * 3 + 1, 1_000])
@pytest.mark.parametrize("graphs", [True, False])
def test_every_size_answers_as_with_one_slot(package, data, cuda, rows, graphs):
    settings = SETTINGS.model_copy(update={"cuda_graphs": graphs})
    single = SETTINGS.model_copy(update={"slots": 1, "buckets": (1, 4096)})
    matrix = data.matrix[:rows]
    with open_in_memory(single, package) as plain:
        expected = plain.infer(matrix)
    with open_in_memory(settings, package, None, cuda) as engine:
        assert set(engine.info.routes) == {GRAPH if graphs else LAUNCHES}
        for values, whole in zip(engine.infer(matrix), expected, strict=True):
            np.testing.assert_allclose(values, whole, atol=1e-6)


def test_a_slot_keeps_nothing_of_the_batch_before(package, data, cuda):
    with open_in_memory(SETTINGS.model_copy(update={"slots": 1}), package, None, cuda) as engine:
        alone = engine.infer(data.matrix[:3])
        engine.infer(np.full((8, data.matrix.shape[1]), np.nan, np.float32))
        for values, first in zip(engine.infer(data.matrix[:3]), alone, strict=True):
            np.testing.assert_array_equal(values, first)


def test_a_large_batch_has_several_parts_under_way(package, data, cuda):
    under_way, most = set(), 0

    def watch(method):
        nonlocal most
        if method == "record":
            under_way.add(len(under_way))
            most = max(most, len(under_way))
        elif method == "wait" and under_way:
            under_way.pop()
        return 0

    with open_in_memory(SETTINGS, package, None, cuda) as engine:
        cuda.fail = watch
        engine.infer(data.matrix[:1_000])
    assert most == SETTINGS.slots


def test_all_is_freed_in_reverse_order(package, cuda):
    engine = open_in_memory(SETTINGS, package, None, cuda)
    made = list(cuda.live.values())
    assert made.count("graph") == SETTINGS.slots * len(SETTINGS.buckets)
    assert made.count("pinned") == made.count("device") == 2 * SETTINGS.slots
    assert made.count("stream") == 2
    engine.close()
    assert not cuda.live
    one_slot = ["graph"] * 3 + ["event", "device", "device", "pinned", "pinned"]
    assert cuda.freed == one_slot * SETTINGS.slots + ["stream", "stream"]
    engine.close()


def test_close_waits_for_what_is_being_answered(package, data, cuda):
    engine = open_in_memory(SETTINGS, package, None, cuda)
    answering, go_on, closed = threading.Event(), threading.Event(), threading.Event()

    def hold(method):
        if method == "record":
            answering.set()
            assert go_on.wait(60)
        return 0

    cuda.fail = hold
    answers = []
    asker = threading.Thread(target=lambda: answers.append(engine.infer(data.matrix[:300])))
    asker.start()
    assert answering.wait(60)
    closer = threading.Thread(target=lambda: (engine.close(), closed.set()))
    closer.start()
    assert not closed.wait(0.2)
    go_on.set()
    asker.join(60)
    assert closed.wait(60)
    assert answers[0].score.min() > 0
    assert not cuda.live
    with pytest.raises(EngineError, match="closed"):
        engine.infer(data.matrix[:1])


def test_without_graphs_on_the_device_batches_are_launched(package, data, caplog):
    cuda = MemoryCuda(has_graphs=False)
    with open_in_memory(SETTINGS, package, None, cuda) as engine:
        assert set(engine.info.routes) == {LAUNCHES}
        assert len(engine.infer(data.matrix[:70]).score) == 70


@pytest.mark.parametrize("method", ["begin_capture", "end_capture"])
@pytest.mark.parametrize("skip", [0, 4])
def test_where_capturing_fails_batches_are_launched(package, data, cuda, caplog, method, skip):
    fail_at(cuda, method, 901, skip)
    with open_in_memory(SETTINGS, package, None, cuda) as engine:
        cuda.fail = lambda called: 0
        assert set(engine.info.routes) == {LAUNCHES}
        assert "graph" not in cuda.live.values()
        with open_in_memory(SETTINGS, package) as other:
            expected = other.infer(data.matrix[:70]).score
        np.testing.assert_array_equal(engine.infer(data.matrix[:70]).score, expected)
    assert "can't make CUDA graphs" in caplog.text
    assert not cuda.live


@pytest.mark.parametrize("method", ["allocate", "allocate_pinned", "new_event"])
@pytest.mark.parametrize("skip", [0, 1, 5])
def test_too_little_memory_is_an_error_that_leaves_nothing(package, cuda, method, skip):
    if method == "new_event":
        skip = min(skip, SETTINGS.slots - 1)
    fail_at(cuda, method, OUT_OF_MEMORY, skip)
    with pytest.raises(DeviceMemoryError, match=r"out of memory.*engine\.slots"):
        open_in_memory(SETTINGS, package, None, cuda)
    assert not cuda.live


def test_a_small_device_has_no_room(package):
    with pytest.raises(DeviceMemoryError, match="out of memory"):
        open_in_memory(SETTINGS, package, None, MemoryCuda(total=4_000))


@pytest.mark.parametrize("method", ["launch", "record", "wait"])
def test_a_failed_batch_is_that_callers_alone(package, data, cuda, method):
    with open_in_memory(SETTINGS, package, None, cuda) as engine:
        expected = engine.infer(data.matrix[:300]).score
        fail_at(cuda, method, 1, skip=2)
        with pytest.raises(CudaError, match="CUDA error 1"):
            engine.infer(data.matrix[:300])
        cuda.fail = lambda called: 0
        for _ in range(2 * SETTINGS.slots):
            np.testing.assert_array_equal(engine.infer(data.matrix[:300]).score, expected)


@pytest.mark.parametrize("method", ["launch", "record", "wait"])
def test_a_lost_device_ends_all_use(package, data, cuda, caplog, method):
    engine = open_in_memory(SETTINGS, package, None, cuda)
    fail_at(cuda, method, ILLEGAL_ADDRESS, skip=2)
    with pytest.raises(DeviceLostError, match=r"illegal memory access.*started again") as lost:
        engine.infer(data.matrix[:300])
    assert not isinstance(lost.value, EngineError)
    cuda.fail = lambda called: 0
    with pytest.raises(DeviceLostError, match="illegal memory access"):
        engine.infer(data.matrix[:1])
    engine.close()  # waits for nothing, raises nothing
    assert "closing the engine failed" in caplog.text


def test_a_device_lost_while_opening_is_said(package, cuda):
    fail_at(cuda, "end_capture", 719)
    with pytest.raises(DeviceLostError, match="launch failed"):
        open_in_memory(SETTINGS, package, None, cuda)
