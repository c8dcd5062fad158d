"""The ONNX ensemble against LightGBM itself."""

import lightgbm
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from inference.onnxruntime_engine import load_session
from inference.trees import TreeError, floor32, tree_attributes


def run(boosters, rows):
    attributes = tree_attributes([booster.dump_model() for booster in boosters])
    nodes = [
        helper.make_node("Cast", ["x"], ["double"], to=TensorProto.DOUBLE),
        helper.make_node(
            "TreeEnsembleRegressor", ["double"], ["y"], domain="ai.onnx.ml", **attributes
        ),
    ]
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "trees",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", rows.shape[1]])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 1])],
        ),
        ir_version=8,
        opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)],
    )
    return load_session(model.SerializeToString(), "trees").run(None, {"x": rows})[0][:, 0]


def fit(rows, labels, rounds=30, categorical=(), **parameters):
    return lightgbm.train(
        {
            "objective": "binary",
            "verbosity": -1,
            "num_threads": 1,
            "min_data_in_leaf": 5,
            **parameters,
        },
        lightgbm.Dataset(rows, labels, categorical_feature=list(categorical)),
        rounds,
    )


def hostile(rng, rows):
    """Rows with missing values, zeros, infinities and numbers too small to be normal."""
    rows = rows.copy()
    for value in (np.nan, 0.0, -0.0, np.inf, -np.inf, 1e-38, 1e-35, 3.4e38):
        rows[rng.random(rows.shape) < 0.05] = value
    return rows


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    bags=st.integers(1, 3),
    leaves=st.integers(2, 40),
    missing=st.sampled_from([0.0, 0.1, 0.9]),
    scale=st.sampled_from([1e-36, 1.0, 1e9]),
)
def test_margin_equals_lightgbm(seed, bags, leaves, missing, scale):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(600, 5))
    labels = (rows[:, 0] + rows[:, 1] + rng.normal(size=600) > 1).astype(np.int8)
    rows[:, 1] = np.round(rows[:, 1])  # ties on thresholds
    rows[:, 2] *= scale
    rows[:, 1:3][rng.random((600, 2)) < missing] = np.nan  # column 0 never misses a value
    rows = rows.astype(np.float32)
    boosters = [
        fit(rows, labels, num_leaves=leaves, bagging_fraction=0.7, bagging_freq=1, bagging_seed=bag)
        for bag in range(bags)
    ]
    asked = np.concatenate([rows, hostile(rng, rows)])
    expected = np.mean([booster.predict(asked, raw_score=True) for booster in boosters], axis=0)
    error = np.abs(run(boosters, asked) - expected) / np.maximum(1, np.abs(expected))
    assert error.max() < 1e-6


def test_thresholds_that_float32_cannot_hold_route_alike():
    """Splits between neighbouring float32 numbers, where rounding the wrong way flips a row."""
    base = np.float32(1000)
    values = [base]
    for _ in range(40):
        values.append(np.nextafter(values[-1], np.float32(np.inf)))
    rows = np.repeat(np.array(values, np.float32), 20)[:, None]
    labels = (np.arange(len(rows)) // 20 % 2).astype(np.int8)
    booster = fit(rows, labels, num_leaves=31, min_data_in_bin=1)
    np.testing.assert_allclose(
        run([booster], rows), booster.predict(rows, raw_score=True), rtol=1e-6
    )
    assert len(np.unique(run([booster], rows))) > 1


def test_a_split_of_missing_from_present_keeps_infinity_with_the_present():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(500, 1)).astype(np.float32)
    rows[:200] = np.nan
    labels = np.isnan(rows[:, 0]).astype(np.int8)
    booster = fit(rows, labels, rounds=3)
    asked = np.array([[np.nan], [np.inf], [-np.inf], [0.0]], np.float32)
    answer = run([booster], asked)
    assert answer[0] > answer[1] == answer[2] == answer[3]


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(width=32, allow_nan=False))
def test_floor32_keeps_every_comparison(threshold, x):
    assert (x <= threshold) == (x <= floor32(threshold))


def test_nothing_to_split_on_is_said():
    rows = np.zeros((100, 2), np.float32)
    booster = fit(rows, np.arange(100) % 2)
    with pytest.raises(TreeError, match="nothing to split on"):
        tree_attributes([booster.dump_model()])


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"zero_as_missing": True}, "zero_as_missing"),
        ({"categorical": [0]}, "categorical"),
        ({"boosting": "rf", "bagging_fraction": 0.5, "bagging_freq": 1}, "sum of its trees"),
    ],
)
def test_what_the_operator_cannot_say_is_refused(parameters, message):
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 5, (500, 1)).astype(np.float32)
    booster = fit(rows, (rows[:, 0] == 3).astype(np.int8), rounds=2, **parameters)
    with pytest.raises(TreeError, match=message):
        tree_attributes([booster.dump_model()])
