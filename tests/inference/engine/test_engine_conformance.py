"""What every engine must do; a new backend joins by one line in `ENGINES`."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
from float64_reference import answer_in_float64

from inference.backends.cpu import CpuEngine
from inference.engine.protocol import BATCH_BUCKETS, TOLERANCE, EngineError
from inference.engine.settings import EngineSettings
from inference.packages.package import ModelPackage, PackageError
from tests.inference.backends.tensorrt.in_memory import open_in_memory

MOST = BATCH_BUCKETS[-1]


def unknown_operator(model):
    graph = onnx.load_from_string(model)
    graph.graph.node[-1].op_type = "Guess"
    return graph.SerializeToString()


def warm_cpu_engine(package, feature_names=None):
    engine = CpuEngine(package, feature_names)
    engine.warm_up()
    return engine


def tensorrt_in_memory(package, feature_names=None):
    if isinstance(package, Path):
        package = ModelPackage.load(package)
    return open_in_memory(EngineSettings(), package, feature_names)


def nvforest_alone(package, feature_names=None):
    pytest.importorskip("nvforest", exc_type=ImportError)
    engine = CpuEngine(package, feature_names, nvforest=True)
    (alone,) = (route for name, route in engine._routes.items() if name.startswith("nvForest"))
    engine._chosen = (alone,) * len(BATCH_BUCKETS)
    return engine


ENGINES = [CpuEngine, warm_cpu_engine, nvforest_alone, tensorrt_in_memory]


@pytest.fixture(params=ENGINES, ids=lambda engine: engine.__name__)
def engine_type(request):
    return request.param


@pytest.fixture
def engine(engine_type, package):
    with engine_type(package) as engine:
        yield engine


def test_answers_are_float32_in_range_and_not_constant(engine, data):
    outputs = engine.infer(data.matrix)
    for values in outputs:
        assert values.shape == (len(data.labels),)
        assert values.dtype == np.float32
        assert values.min() >= 0
        assert values.max() <= 1
        assert len(np.unique(values)) > 50


def test_calibration_keeps_the_order(engine, data):
    outputs = engine.infer(data.matrix)
    order = np.argsort(outputs.score, kind="stable")
    assert (np.diff(outputs.probability[order]) >= 0).all()


def test_frauds_stand_out_in_every_answer(engine, data):
    outputs = engine.infer(data.matrix)
    fraud = data.labels == 1
    for values in outputs:
        assert values[fraud].mean() > 1.3 * values[~fraud].mean()


@pytest.mark.parametrize("rows", [0, 1, 2, 7, 8, 9, 500, 4097])
def test_a_batch_of_any_size_equals_its_rows(engine, data, rows):
    whole = engine.infer(data.matrix)
    part = engine.infer(data.matrix[:rows])
    for name in whole._fields:
        values = getattr(part, name)
        assert values.shape == (rows,)
        np.testing.assert_allclose(values, getattr(whole, name)[:rows], rtol=1e-5, atol=1e-6)


def test_more_rows_than_one_call_takes(engine, data):
    many = np.tile(data.matrix, (3, 1))
    outputs, once = engine.infer(many), engine.infer(data.matrix)
    np.testing.assert_allclose(outputs.anomaly, np.tile(once.anomaly, 3), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(outputs.score, np.tile(once.score, 3))


def test_missing_and_extreme_values_get_an_answer(engine, data):
    width = data.matrix.shape[1]
    for value in (np.nan, np.inf, -np.inf, 0.0, 3e38, -3e38):
        outputs = engine.infer(np.full((3, width), value, np.float32))
        for values in outputs:
            assert ((values >= 0) & (values <= 1)).all()


def test_any_dtype_and_layout_is_converted(engine, data):
    rows = data.matrix[:40]
    expected = engine.infer(rows).score
    wide = np.repeat(rows, 2, axis=0)
    for other in (rows.astype(np.float64), np.asfortranarray(rows), wide[::2]):
        np.testing.assert_array_equal(engine.infer(other).score, expected)


def test_the_input_is_left_as_it_was(engine, data):
    rows = data.matrix[:50].copy()
    engine.infer(rows)
    np.testing.assert_array_equal(rows, data.matrix[:50])


@pytest.mark.parametrize("shape", [(3, 5), (3, 7), (6,), (1, 3, 6)])
def test_a_wrong_shape_is_named(engine, shape):
    with pytest.raises(EngineError, match=r"shape \(n, 6\).*got shape"):
        engine.infer(np.zeros(shape, np.float32))


def test_columns_are_found_by_name_in_a_wider_vector(engine_type, package, data):
    names = ("unused", *reversed(data.feature_names), "also_unused")
    wide = np.full((100, 8), 777.0)
    wide[:, 1:7] = data.matrix[:100, ::-1]
    with engine_type(package) as plain, engine_type(package, names) as selecting:
        selecting.warm_up()
        expected, outputs = plain.infer(data.matrix[:100]), selecting.infer(wide)
    for one, other in zip(expected, outputs, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_feature_that_is_not_computed_is_named(engine_type, package):
    with pytest.raises(EngineError, match=r"1 feature.*risk_30d"):
        engine_type(package, ("amount", "count_1d", "amount_7d", "hour", "device_age"))


def test_close_can_be_repeated_and_ends_use(engine_type, package, data):
    engine = engine_type(package)
    engine.close()
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.infer(data.matrix[:1])
    with pytest.raises(EngineError, match="closed"):
        engine.warm_up()


def test_loads_from_a_folder(engine_type, package, data, tmp_path):
    with engine_type(package.folder) as loaded, engine_type(package) as given:
        rows = data.matrix[:100]
        np.testing.assert_array_equal(loaded.infer(rows).score, given.infer(rows).score)
    with pytest.raises(PackageError, match="no model package here"):
        engine_type(tmp_path)


def test_it_says_what_it_offers(engine, data):
    info = engine.info
    assert info.width == data.matrix.shape[1]
    assert info.precision in TOLERANCE
    assert info.buckets[0] == 1
    assert list(info.buckets) == sorted(set(info.buckets))
    engine.warm_up()
    warm = engine.info
    assert dataclasses.replace(warm, routes=info.routes) == info  # routes may be chosen by then
    engine.close()
    assert engine.info == warm


def test_many_threads_get_the_answers_of_one(engine, data):
    expected = engine.infer(data.matrix)
    slices = [slice(start, start + 37) for start in range(0, 3_000, 37)]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda rows: engine.infer(data.matrix[rows]), slices))
    for rows, answer in zip(slices, answers, strict=True):
        for values, whole in zip(answer, expected, strict=True):
            np.testing.assert_allclose(values, whole[rows], rtol=1e-5, atol=1e-6)


def test_answers_are_the_callers_to_keep(engine, data):
    first = engine.infer(data.matrix[:32])
    kept = [values.copy() for values in first]
    engine.infer(data.matrix[32:64])
    for values, copy in zip(first, kept, strict=True):
        np.testing.assert_array_equal(values, copy)


@pytest.fixture(scope="module")
def random_rows(data):
    """Rows between and beyond those of the training, with missing values anywhere."""
    rng = np.random.default_rng(11)
    rows = data.matrix[rng.integers(0, len(data.matrix), MOST + 1)]
    rows *= rng.choice([0.0, 0.3, 1.0, 1.0, 1.0, 3.0, -1.0, 1e6], rows.shape).astype(np.float32)
    rows[rng.random(rows.shape) < 0.1] = np.nan
    return rows


@pytest.fixture(scope="module")
def reference(package, random_rows):
    return answer_in_float64(package.model, random_rows)


@pytest.mark.parametrize("warm", [False, True])
def test_answers_are_those_of_float64_at_every_border_of_the_buckets(
    engine, reference, random_rows, warm
):
    if warm:
        engine.warm_up()
    tolerance = TOLERANCE[engine.info.precision]
    borders = {size + step for size in engine.info.buckets for step in (-1, 0, 1)}
    for size in sorted(borders | {MOST + 1}):
        outputs = engine.infer(random_rows[:size])
        for name, values in outputs._asdict().items():
            expected = getattr(reference, name)[:size]
            worst = np.abs(values - expected).max(initial=0.0)
            assert worst <= tolerance, f"{name} of {size} rows is off by {worst}"


@pytest.mark.parametrize("damage", [lambda m: b"", lambda m: m[: len(m) // 2], unknown_operator])
def test_a_graph_that_does_not_load_is_explained(engine_type, package, damage):
    broken = dataclasses.replace(
        package, model=damage(package.model), tensors=damage(package.tensors)
    )
    with pytest.raises(EngineError, match=package.short_id):
        engine_type(broken)


def test_legitimate_rows_reach_every_level_of_anomaly(engine_type, package, data):
    """A quantile: about a tenth of held-out legitimate rows is above 0.9."""
    held_out = data.matrix[4800:][data.labels[4800:] == 0]
    with engine_type(package) as engine:
        anomaly = engine.infer(held_out).anomaly
    for level in (0.25, 0.5, 0.9, 0.99):
        assert abs((anomaly > level).mean() - (1 - level)) < 0.01
