"""Builds with NVIDIA's own library, TensorRT-RTX, which needs no GPU for that."""

import re
import threading
from dataclasses import replace

import numpy as np
import onnx
import pytest
from payments import payments
from test_import_frameworks import MODELS, asked

from inference.backends.tensorrt.blob_store import BlobStore
from inference.backends.tensorrt.build import BuildError, BuildRequest, TimingCache, build_plan
from inference.backends.tensorrt.callbacks import error_recorder, errors_in
from inference.backends.tensorrt.driver import NoGpuError, probe
from inference.backends.tensorrt.errors import BuildCancelledError
from inference.backends.tensorrt.library import LibraryMissingError, load_library
from inference.backends.tensorrt.opening import build_request
from inference.backends.tensorrt.profiles import Profile, profile_index, profiles_of
from inference.backends.tensorrt.tensorrt_runtime import PlanRefusedError, TensorRtRuntime
from inference.engine.protocol import BATCH_BUCKETS
from inference.engine.settings import EngineSettings
from inference.forest.graph_forms import tensor_form
from inference.importing.build.finishing import finish_graph
from inference.importing.sandbox.inspection import inspect
from inference.training.autoencoder import fit_autoencoder
from inference.training.calibration import PlattScaling
from inference.training.settings import AutoencoderSettings
from tests.inference.backends.tensorrt.memory_cuda import MemoryCuda

SMALL = EngineSettings(buckets=(1, 8))


def _has_gpu():
    try:
        probe()
    except NoGpuError:
        return False
    return True


@pytest.fixture(scope="module")
def library():
    try:
        return load_library("tensorrt_rtx")
    except LibraryMissingError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def request_(package):
    """For a card that every version of the library knows."""
    return replace(build_request(SMALL, package), compute_capability=(8, 9))


@pytest.fixture(scope="module")
def plan(library, request_):
    return build_plan(library, request_)


def test_the_built_in_model_builds_with_all_profiles(library, package):
    request = replace(build_request(EngineSettings(), package), compute_capability=(8, 9))
    assert len(request.profiles) == 3
    steps = []
    plan = build_plan(library, request, progress=lambda done, of: steps.append((done, of)))
    assert len(plan) > 100_000
    dones = [done for done, _ in steps]
    assert dones == sorted(set(dones))
    assert all(1 <= done <= of for done, of in steps)


def test_tf32_builds_too(library, request_):
    assert len(build_plan(library, replace(request_, precision="tf32"))) > 100_000


def damaged(model, change):
    graph = onnx.load_from_string(model)
    change(graph.graph)
    return graph.SerializeToString()


def guess(graph):
    graph.node[-1].op_type = "Guess"


def test_an_unknown_operator_is_named_with_its_node(library, request_):
    broken = replace(request_, model=damaged(request_.model, guess))
    with pytest.raises(
        BuildError, match=rf"{re.escape(request_.name)}.*node 'anomaly_node' \(Guess\)"
    ):
        build_plan(library, broken)


def test_trees_are_refused_by_their_node(library, package, request_):
    with pytest.raises(BuildError, match=r"cannot read.*\(TreeEnsembleRegressor\)"):
        build_plan(library, replace(request_, model=package.model))


@pytest.mark.parametrize("model", [b"", b"no ONNX"])
def test_what_is_no_graph_is_refused(library, request_, model):
    with pytest.raises(BuildError, match=r"cannot read the model|maps \{\} to \[\]"):
        build_plan(library, replace(request_, model=model))


def test_other_ends_than_a_packages_are_named(library, request_):
    with pytest.raises(BuildError, match=r"float32 of shape \(n, 7\)"):
        build_plan(library, replace(request_, width=7))

    def drop(graph):
        del graph.output[-1]

    with pytest.raises(BuildError, match=r"\['probability', 'score'\]"):
        build_plan(library, replace(request_, model=damaged(request_.model, drop)))


def test_a_wrong_profile_is_refused(library, request_):
    with pytest.raises(BuildError, match=r"refuses Profile\(smallest=5"):
        build_plan(library, replace(request_, profiles=(Profile(5, 4, 3),)))


def test_a_card_that_it_does_not_build_for_is_named(library, request_):
    with pytest.raises(BuildError, match=r"does not build for SM10.*It knows.*SM89"):
        build_plan(library, replace(request_, compute_capability=(1, 0)))


def test_building_for_the_card_here_needs_one(library, request_):
    if _has_gpu():
        pytest.skip("there is a GPU here")
    with pytest.raises(BuildError, match="CUDA driver version is insufficient"):
        build_plan(library, replace(request_, compute_capability=None))


def test_a_build_can_be_cancelled(library, request_):
    asked = []

    def cancelled():
        asked.append(1)
        return len(asked) > 20

    with pytest.raises(BuildCancelledError):
        build_plan(library, request_, cancelled=cancelled)
    assert len(asked) == 21


def test_an_error_in_the_callback_ends_the_build(library, request_):
    def fail(done, of):
        raise KeyError("progress")

    with pytest.raises(KeyError, match="progress"):
        build_plan(library, request_, progress=fail)


def test_two_threads_can_build_at_once(library, request_):
    plans = []

    def build():
        plans.append(build_plan(library, request_))

    threads = [threading.Thread(target=build) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert [len(plan) > 100_000 for plan in plans] == [True, True]


@pytest.mark.filterwarnings("ignore:Use Deprecated in TensorRT-RTX")
def test_kernel_times_are_kept(library, request_):
    """TensorRT's own path, by the library that can be had here; its content is of no use to it."""
    full = replace(library, flavour="tensorrt")
    timing = TimingCache(b"of another version")
    build_plan(full, replace(request_, compute_capability=None), timing=timing)
    assert timing.content not in (b"", b"of another version")
    with pytest.raises(BuildError, match="the GPU it runs on alone"):
        build_plan(full, request_)


IMPORTED = ("torch_script", "keras", "sklearn_forest", "xgboost", "jax")


@pytest.mark.parametrize("name", IMPORTED)
def test_imported_models_build(library, name):
    core, found = inspect(MODELS / f"{name}.onnx", asked(name))
    width = len(found.features)
    rows = payments(400).matrix[:, :width]
    settings = AutoencoderSettings(epochs=1, hidden=4, bottleneck=2)
    anomaly = fit_autoencoder(rows[:300], rows[300:], settings, np.random.default_rng(0))
    graph = finish_graph(core.SerializeToString(), found.kind, PlattScaling(1.0, 0.0), anomaly, {})
    request = BuildRequest(
        name, tensor_form(graph), width, profiles_of(BATCH_BUCKETS), "float32", 1 << 30, (8, 9)
    )
    assert len(build_plan(library, request)) > 100_000


def test_a_plan_that_does_not_load_is_refused_with_the_reason(library, plan, tmp_path):
    runtime = TensorRtRuntime(
        library, MemoryCuda(), store=BlobStore(tmp_path), identity="key", width=6
    )
    with pytest.raises(PlanRefusedError, match=r"does not load the engine: .*Serialization"):
        runtime.load(b"no plan" * 100)
    if not _has_gpu():
        with pytest.raises(PlanRefusedError, match="CUDA driver version is insufficient"):
            runtime.load(plan)


def test_the_recorder_keeps_the_first_errors(library):
    recorder = error_recorder(library)
    code = library.module.ErrorCodeTRT.INTERNAL_ERROR
    for i in range(100):
        assert recorder.report_error(code, f"error {i}")
    assert recorder.has_overflowed()
    assert recorder.get_error_code(0) == code
    assert errors_in(recorder).startswith("error 0; error 1; ")
    assert recorder.num_errors() == 0
    assert errors_in(recorder) == "it does not say why"


def test_every_bucket_has_its_profile():
    for buckets in (BATCH_BUCKETS, (1,), (1, 4096), (1, 33), (1, 32, 33, 513)):
        profiles = profiles_of(buckets)
        for rows in buckets:
            profile = profiles[profile_index(profiles, rows)]
            assert profile.smallest <= rows <= profile.largest
            assert profile.smallest <= profile.typical <= profile.largest


def test_a_library_that_is_missing_or_old_is_named():
    class Old:
        __version__ = "10.9.0"

    with pytest.raises(LibraryMissingError, match=r"tensorrt 10\.9\.0 is older than 10\.13.*gpu\]"):
        load_library("tensorrt", lambda name: Old)

    def missing(name):
        raise ModuleNotFoundError(f"No module named {name!r}")

    with pytest.raises(LibraryMissingError, match=r"tensorrt_rtx is not installed.*gpu-rtx\]"):
        load_library("tensorrt_rtx", missing)
