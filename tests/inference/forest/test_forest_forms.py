"""Every form of a forest against the library that trained it."""

from importlib.util import find_spec

import numpy as np
import onnx
import pytest
from boosters import (
    CATEGORIES,
    counted,
    fit_lightgbm,
    fit_xgboost,
    hostile,
    native_graph,
    random_rows,
    run,
    saved,
    walked,
    xgboost_margin,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inference.forest import kernels
from inference.forest.columns import TreeError
from inference.forest.compiled_forest import CompiledForest
from inference.forest.forest import Leaf, Split, build_forest, floor32, tree_nodes
from inference.forest.graph_forms import tensor_form
from inference.forest.lightgbm_reader import read_lightgbm
from inference.forest.nvforest import NvForest
from tests.inference.forest.xgboost_reader import read_xgboost

HAS_NVFOREST = find_spec("nvforest") is not None
"""Two gigabytes with what it needs, so the tests do not install it."""

# The patched limits are set anew by every example.
thorough = settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def assert_forms_agree(forest, rows, expected, monkeypatch, exact=1e-6):
    """The margin `expected` from the native forms, and its probability from those of tensors."""
    native = run(native_graph(forest), rows)
    assert (np.abs(native - expected) / np.maximum(1, np.abs(expected))).max() < exact
    compiled = CompiledForest(forest)(rows)
    assert (np.abs(compiled - native) <= np.spacing(np.abs(native))).all()
    if HAS_NVFOREST:
        assert (np.abs(NvForest(forest)(rows) - native) <= np.spacing(np.abs(native))).all()
    for form in (counted, walked):
        tensors = run(form(forest, monkeypatch), rows)
        assert np.abs(sigmoid(tensors) - sigmoid(native)).max() < 1e-6


def sigmoid(x):
    return 1 / (1 + np.exp(-x.astype(np.float64)))


@thorough
@given(
    seed=st.integers(0, 2**31),
    bags=st.integers(1, 3),
    leaves=st.integers(2, 40),
    missing=st.sampled_from([0.0, 0.1, 0.9]),
    scale=st.sampled_from([1e-36, 1.0, 1e9]),
    categorical=st.booleans(),
    zero_as_missing=st.booleans(),
    forest=st.booleans(),
)
def test_lightgbm(
    seed, bags, leaves, missing, scale, categorical, zero_as_missing, forest, monkeypatch
):
    rng = np.random.default_rng(seed)
    rows, labels = random_rows(rng, 600, scale, missing)
    boosters = [
        fit_lightgbm(
            rows,
            labels,
            num_leaves=leaves,
            bagging_fraction=0.7,
            bagging_freq=1,
            bagging_seed=bag,
            zero_as_missing=zero_as_missing,
            categorical=(4,) if categorical else (),
            boosting="rf" if forest else "gbdt",
        )
        for bag in range(bags)
    ]
    asked = np.concatenate([rows, hostile(rng, rows)])
    expected = np.mean([booster.predict(asked, raw_score=True) for booster in boosters], axis=0)
    if forest:
        expected /= boosters[0].num_trees()  # LightGBM's raw score of a random forest is a sum
    read = read_lightgbm([booster.dump_model() for booster in boosters])
    assert_forms_agree(read, asked, expected, monkeypatch)
    if bags == 1 and not forest:
        np.testing.assert_array_equal(CompiledForest(read)(asked), expected)  # to the last bit


@thorough
@given(
    seed=st.integers(0, 2**31),
    depth=st.integers(1, 7),
    missing=st.sampled_from([0.0, 0.1, 0.9]),
    scale=st.sampled_from([1e-36, 1.0, 1e9]),
    categorical=st.sampled_from(["no", "one_hot", "partition"]),
    policy=st.sampled_from(["depthwise", "lossguide"]),
    booster=st.sampled_from(["gbtree", "dart"]),
)
def test_xgboost(seed, depth, missing, scale, categorical, policy, booster, monkeypatch):
    rng = np.random.default_rng(seed)
    rows, labels = random_rows(rng, 600, scale, missing)
    columns = () if categorical == "no" else (4,)
    fitted = fit_xgboost(
        rows,
        labels,
        categorical=columns,
        max_depth=depth,
        grow_policy=policy,
        booster=booster,
        **({"rate_drop": 0.1} if booster == "dart" else {}),
        max_cat_to_onehot=CATEGORIES + 1 if categorical == "one_hot" else 1,
        seed=seed,
    )
    asked = np.concatenate([rows, hostile(rng, rows)])
    asked[np.isinf(asked)] = np.nan  # which XGBoost refuses
    if columns:
        asked[asked[:, 4] < 0, 4] = np.nan
    expected = xgboost_margin(fitted, asked, columns)
    forest = read_xgboost([saved(fitted)])
    assert bool(forest.derived) <= bool(columns)
    # It adds in float32 itself.
    assert_forms_agree(forest, asked, expected, monkeypatch, exact=1e-5)


def test_bags_of_xgboost_are_averaged(monkeypatch):
    rng = np.random.default_rng(4)
    rows, labels = random_rows(rng, 600)
    boosters = [fit_xgboost(rows, labels, max_depth=depth) for depth in (2, 4)]
    expected = np.mean([xgboost_margin(booster, rows) for booster in boosters], axis=0)
    forest = read_xgboost([saved(booster) for booster in boosters])
    assert_forms_agree(forest, rows, expected, monkeypatch, exact=1e-5)


@pytest.mark.parametrize("leaves", [4, 200])
def test_a_compiled_margin_is_the_same_bits_in_a_batch_of_any_size(leaves):
    rng = np.random.default_rng(5)
    rows, labels = random_rows(rng, 3_000)
    booster = fit_lightgbm(rows, labels, 101, num_leaves=leaves, min_data_in_leaf=1)
    forest = CompiledForest(read_lightgbm([booster.dump_model()]))
    expected = booster.predict(rows, raw_score=True)
    for size in (0, 1, 7, 8, 9, 23, 24, 63, 64, 65, 87, 88, 127, 128, 129, 3_000):
        np.testing.assert_array_equal(forest(rows[:size]), expected[:size])


def test_nothing_is_compiled_after_the_warm_up():
    rng = np.random.default_rng(6)
    rows, labels = random_rows(rng, 500)
    plain = read_lightgbm([fit_lightgbm(rows, labels, 5).dump_model()])
    derived = read_lightgbm([fit_lightgbm(rows, labels, 5, zero_as_missing=True).dump_model()])
    large = read_lightgbm([fit_lightgbm(rows, labels, 5, num_leaves=64).dump_model()])
    entries = (kernels.compare_rows, kernels.walk, kernels.strike_out)
    for forest in map(CompiledForest, (plain, derived, large)):
        forest.warm_up()
        compiled = [len(entry.signatures) for entry in entries]
        for size in (0, 1, 9, 64, 500):
            part = rows[:size]
            forest(part)
            part.flags.writeable = False
            forest(part)
            forest(np.frombuffer(part.tobytes(), np.float32).reshape(size, 5))
        assert [len(entry.signatures) for entry in entries] == compiled


def test_trees_that_need_wide_nodes_compile():
    """More columns than 16 bits number; and a tree with more nodes than 16 bits reach over."""
    rows = np.zeros((30, 70_000), np.float32)
    rows[:, 69_999] = np.arange(30)
    trees = [[Split(69_999, 14.5, False, 1, 2), Leaf(-1.0), Leaf(1.0)]]
    answer = CompiledForest(build_forest(70_000, 0.5, trees))(rows)
    np.testing.assert_array_equal(answer, np.where(np.arange(30) < 15, -0.5, 1.5))

    def describe(span):
        low, high = span
        if high - low == 1:
            return Leaf(float(low))
        middle = (low + high) // 2
        return Split(0, middle - 0.5, False, (low, middle), (middle, high))

    leaves = 1 << 16
    tree = tree_nodes((0, leaves), describe, 2 * leaves)
    rows = np.arange(0, leaves, 1_001, dtype=np.float32)[:, None]
    np.testing.assert_array_equal(CompiledForest(build_forest(1, 0.0, [tree]))(rows), rows[:, 0])


def test_thresholds_that_float32_cannot_hold_route_alike():
    """Splits between neighbouring float32 numbers, where rounding the wrong way flips a row."""
    base = np.float32(1000)
    values = [base]
    for _ in range(40):
        values.append(np.nextafter(values[-1], np.float32(np.inf)))
    rows = np.repeat(np.array(values, np.float32), 20)[:, None]
    labels = (np.arange(len(rows)) // 20 % 2).astype(np.int8)
    booster = fit_lightgbm(rows, labels, num_leaves=31, min_data_in_bin=1)
    native = native_graph(read_lightgbm([booster.dump_model()]))
    for model in (native, tensor_form(native)):
        answer = run(model, rows)
        np.testing.assert_allclose(answer, booster.predict(rows, raw_score=True), rtol=2e-6)
        assert len(np.unique(answer)) > 1


def test_a_split_of_missing_from_present_keeps_infinity_with_the_present():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(500, 1)).astype(np.float32)
    rows[:200] = np.nan
    labels = np.isnan(rows[:, 0]).astype(np.int8)
    booster = fit_lightgbm(rows, labels, rounds=3)
    asked = np.array([[np.nan], [np.inf], [-np.inf], [0.0]], np.float32)
    native = native_graph(read_lightgbm([booster.dump_model()]))
    for model in (native, tensor_form(native)):
        answer = run(model, asked)
        assert answer[0] > answer[1] == answer[2] == answer[3]


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(width=32, allow_nan=False))
def test_floor32_keeps_every_comparison(threshold, x):
    assert (x <= threshold) == (x <= floor32(threshold))


def test_trees_of_one_leaf_count(monkeypatch):
    trees = [[Leaf(0.25)], [Split(1, 0.5, False, 1, 2), Leaf(1.0), Leaf(2.0)], [Leaf(-3.0)]]
    forest = build_forest(2, 10.0, trees)
    rows = np.array([[0, 0.5], [0, 0.6], [0, np.nan]], np.float32)
    assert_forms_agree(forest, rows, np.array([8.25, 9.25, 9.25]), monkeypatch)


def test_processors_without_subnormal_numbers_keep_zero_where_it_belongs(monkeypatch):
    """XGBoost's ``x < 0`` is ``x <= -1e-45``, which is 0 where such numbers are."""
    forest = build_forest(1, 0.0, [[Split(0, -1e-45, False, 1, 2), Leaf(0.0), Leaf(1.0)]])
    for form in (counted, walked):
        model = onnx.load_from_string(form(forest, monkeypatch))
        thresholds = [
            onnx.numpy_helper.to_array(constant)
            for constant in model.graph.initializer
            if "threshold" in constant.name
        ]
        finite = np.concatenate([t[np.isfinite(t)].ravel() for t in thresholds])
        assert len(finite) >= 1
        assert (np.abs(finite) >= np.finfo(np.float32).smallest_normal).all()
        assert run(model.SerializeToString(), np.array([[-1e-30], [0.0]], np.float32)).tolist() == [
            0,
            1,
        ]


def test_small_trees_are_counted_and_large_ones_walked():
    rng = np.random.default_rng(0)
    rows, labels = random_rows(rng, 3_000)
    for leaves, operator, absent in (
        (8, "MatMul", "GatherElements"),
        (255, "GatherElements", "MatMul"),
    ):
        booster = fit_lightgbm(rows, labels, num_leaves=leaves, min_data_in_leaf=1)
        model = tensor_form(native_graph(read_lightgbm([booster.dump_model()])))
        operators = {node.op_type for node in onnx.load_from_string(model).graph.node}
        assert operator in operators
        assert absent not in operators


def test_trees_that_are_too_deep_are_refused():
    def describe(level):
        return Leaf(1.0) if level < 0 else Split(0, float(level), False, -1, level - 1)

    forest = build_forest(1, 0.0, [tree_nodes(99, describe, 201)])
    assert forest.depth == 100
    with pytest.raises(TreeError, match=r"100 levels are too deep.*max_depth"):
        tensor_form(native_graph(forest))


def test_nothing_to_split_on_is_said():
    rows = np.zeros((100, 2), np.float32)
    booster = fit_lightgbm(rows, np.arange(100) % 2)
    with pytest.raises(TreeError, match="nothing to split on"):
        read_lightgbm([booster.dump_model()])


def test_what_is_no_single_answer_is_refused():
    rng = np.random.default_rng(0)
    rows, labels = random_rows(rng, 500)
    classes = labels + (rows[:, 0] > 1)
    with pytest.raises(TreeError, match="several outputs"):
        read_lightgbm(
            [fit_lightgbm(rows, classes, 2, objective="multiclass", num_class=3).dump_model()]
        )
    with pytest.raises(TreeError, match="linear_tree"):
        read_lightgbm([fit_lightgbm(rows, labels, 3, linear_tree=True).dump_model()])
    with pytest.raises(TreeError, match="3 outputs"):
        read_xgboost(
            [saved(fit_xgboost(rows, classes, 2, objective="multi:softprob", num_class=3))]
        )
    with pytest.raises(TreeError, match="gblinear has no trees"):
        read_xgboost([saved(fit_xgboost(rows, labels, 2, booster="gblinear"))])
    with pytest.raises(TreeError, match="objective count:poisson"):
        read_xgboost([saved(fit_xgboost(rows, labels, 2, objective="count:poisson"))])


def test_nodes_that_are_no_tree_are_refused():
    with pytest.raises(TreeError, match="reached in two ways"):
        tree_nodes(0, lambda node: Split(0, 0.0, False, 0, 0), 3)
    with pytest.raises(TreeError, match="feature 7; rows have those from 0 to 1"):
        build_forest(2, 0.0, [[Split(7, 0.0, True, 1, 2), Leaf(0.0), Leaf(1.0)]])


def test_trees_without_any_split_are_refused():
    with pytest.raises(TreeError, match="no tree has a split"):
        build_forest(2, 0.0, [[Leaf(1.0)], [Leaf(2.0)]])


def test_categories_without_number_are_refused():
    rows = np.where(np.arange(400) % 2, 3e7, 2e7).astype(np.float32)[:, None]
    rows += np.arange(400, dtype=np.float32)[:, None] % 4 * 2
    booster = fit_lightgbm(
        rows, np.arange(400) % 2, 2, categorical=(0,), min_data_per_group=1, cat_smooth=0
    )
    with pytest.raises(TreeError, match="number its categories densely"):
        native_graph(read_lightgbm([booster.dump_model()]))
