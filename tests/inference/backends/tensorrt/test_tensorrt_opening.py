"""From settings to a GPU engine: what is missing is named, what is kept is used."""

from dataclasses import replace

import numpy as np
import pytest

from inference.backends.cpu import CpuEngine
from inference.backends.selection import open_engine
from inference.backends.tensorrt import opening
from inference.backends.tensorrt.driver import Gpu, NoGpuError, probe
from inference.backends.tensorrt.errors import BuildCancelledError
from inference.backends.tensorrt.library import Library, LibraryMissingError, load_library
from inference.backends.tensorrt.opening import (
    build_request,
    find_library,
    load_cuda,
    open_tensorrt,
)
from inference.backends.tensorrt.tensorrt_runtime import PlanRefusedError
from inference.engine.protocol import TOLERANCE, EngineError
from inference.engine.settings import EngineSettings
from tests.inference.backends.tensorrt.memory_cuda import MemoryCuda
from tests.inference.backends.tensorrt.memory_runtime import MemoryRuntime

GPU = Gpu("NVIDIA L4", (8, 9), 24 << 30, "CUDA 13.0")
SETTINGS = EngineSettings(buckets=(1, 8, 64))


@pytest.fixture
def machine(monkeypatch, package):
    """A machine with a GPU in memory; its library builds by handing the graph through."""
    events = []
    cuda = MemoryCuda()
    request = build_request(SETTINGS, package)

    class Runtime(MemoryRuntime):
        refuses = 0

        def __init__(self, *arguments, **named):
            super().__init__(cuda, request.profiles, request.name)

        def load(self, plan):
            events.append("load")
            if Runtime.refuses:
                Runtime.refuses -= 1
                raise PlanRefusedError("built by another version")
            return super().load(plan)

    def build(library, request, *, progress, cancelled):
        events.append("build")
        progress(1, 2)
        if cancelled():
            raise BuildCancelledError("the build of the engine was cancelled")
        return request.model

    library = Library("tensorrt_rtx", "1.7", None, None)
    monkeypatch.setattr(opening, "find_library", lambda settings: library)
    monkeypatch.setattr(opening, "load_cuda", lambda binding: cuda)
    monkeypatch.setattr(opening, "TensorRtRuntime", Runtime)
    monkeypatch.setattr(opening, "build_plan", build)
    return events, Runtime


def test_a_plan_is_built_once_and_then_loaded(machine, package, data, tmp_path):
    events, _ = machine
    for _ in range(2):
        with open_tensorrt(
            SETTINGS, package, None, cache_dir=tmp_path / "engines", gpu=GPU
        ) as engine:
            assert engine.info.device == "cuda:0 NVIDIA L4"
            assert len(engine.infer(data.matrix[:100]).score) == 100
    assert events == ["build", "load", "load"]
    assert len(list((tmp_path / "engines").glob("*.plan"))) == 1


def test_a_kept_plan_that_is_refused_is_built_again_once(machine, package, tmp_path, caplog):
    events, runtime = machine
    open_tensorrt(SETTINGS, package, None, cache_dir=tmp_path, gpu=GPU).close()
    runtime.refuses = 1
    open_tensorrt(SETTINGS, package, None, cache_dir=tmp_path, gpu=GPU).close()
    assert events == ["build", "load", "load", "build", "load"]
    assert "building it again: built by another version" in caplog.text
    runtime.refuses = 2
    with pytest.raises(PlanRefusedError):
        open_tensorrt(SETTINGS, package, None, cache_dir=tmp_path, gpu=GPU)


def test_the_settings_folder_wins(machine, package, tmp_path):
    settings = SETTINGS.model_copy(update={"cache_dir": tmp_path / "mine"})
    open_tensorrt(settings, package, None, cache_dir=tmp_path / "engines", gpu=GPU).close()
    assert list((tmp_path / "mine").glob("*.plan"))
    assert not (tmp_path / "engines").exists()


def test_where_there_is_a_gpu_it_is_chosen(machine, monkeypatch, package, data, tmp_path, caplog):
    caplog.set_level("INFO")
    monkeypatch.setattr("inference.backends.selection.probe", lambda: GPU)
    with open_engine(SETTINGS, package, None, data_dir=tmp_path) as engine:
        assert engine.info.device == "cuda:0 NVIDIA L4"
    assert "answers on cuda:0 NVIDIA L4 by memory, with cuda-graph" in caplog.text


def test_who_is_told_to_stop_builds_nothing_else(machine, monkeypatch, package, tmp_path):
    """Not even the CPU's engine, which would take over from a build that fails."""
    steps = []
    monkeypatch.setattr("inference.backends.selection.probe", lambda: GPU)
    with pytest.raises(BuildCancelledError):
        open_engine(
            SETTINGS,
            package,
            None,
            data_dir=tmp_path,
            progress=lambda *step: steps.append(step),
            cancelled=lambda: True,
        )
    assert steps == [(1, 2)]


def test_a_package_without_a_tensor_form_says_why(machine, monkeypatch, package, tmp_path, caplog):
    card = package.card.model_copy(update={"tensors_left_out": "the trees are too deep"})
    bare = replace(package, tensors=None, card=card)
    with pytest.raises(EngineError, match=r"no tensor form.*the trees are too deep.*'cpu'"):
        build_request(SETTINGS, bare)
    monkeypatch.setattr("inference.backends.selection.probe", lambda: GPU)
    with open_engine(SETTINGS, bare, None, data_dir=tmp_path) as engine:
        assert engine.info.device == "cpu"
    assert "on the CPU: model" in caplog.text


def test_auto_takes_the_first_library_there_is():
    def only_rtx(flavour):
        if flavour == "tensorrt":
            raise LibraryMissingError("no tensorrt")
        return flavour

    def none(flavour):
        raise LibraryMissingError(f"no {flavour}")

    assert find_library(EngineSettings(), lambda flavour: flavour) == "tensorrt"
    assert find_library(EngineSettings(), only_rtx) == "tensorrt_rtx"
    with pytest.raises(LibraryMissingError, match="no tensorrt; no tensorrt_rtx"):
        find_library(EngineSettings(), none)
    with pytest.raises(LibraryMissingError, match=r"no tensorrt$"):
        find_library(EngineSettings(backend="tensorrt"), only_rtx)


@pytest.mark.parametrize(("binding", "extra"), [("cuda-bindings", "gpu"), ("pycuda", "gpu-pycuda")])
def test_a_missing_package_names_its_extra(monkeypatch, binding, extra):
    def missing(name):
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr(opening.importlib, "import_module", missing)
    with pytest.raises(LibraryMissingError, match=rf"{binding} is not installed.*weir\[{extra}\]"):
        load_cuda(binding)


@pytest.mark.gpu
@pytest.mark.parametrize("flavour", ["tensorrt", "tensorrt_rtx"])
@pytest.mark.parametrize("cuda_graphs", [True, False])
def test_a_gpu_answers_as_the_cpu(package, data, tmp_path, flavour, cuda_graphs):
    try:
        gpu = probe()
        load_library(flavour)
    except (NoGpuError, LibraryMissingError) as error:
        pytest.skip(str(error))
    settings = EngineSettings(backend=flavour, cuda_graphs=cuda_graphs)
    with (
        open_tensorrt(settings, package, None, cache_dir=tmp_path, gpu=gpu) as engine,
        CpuEngine(package) as cpu,
    ):
        for rows in (1, 7, 500, len(data.matrix)):
            for values, expected in zip(
                engine.infer(data.matrix[:rows]), cpu.infer(data.matrix[:rows]), strict=True
            ):
                np.testing.assert_allclose(values, expected, atol=TOLERANCE["float32"])
