"""Random boosters, rows that try them, and their forests in every form."""

import json

import lightgbm
import numpy as np
import xgboost
from onnx import TensorProto, helper

from inference.engine.onnx_session import load_session
from inference.forest import tensor_writer
from inference.forest.graph_forms import tensor_form
from inference.forest.onnx_writer import add_tree_ensemble
from inference.onnx_nodes import GraphNodes, serialized

CATEGORIES = 12


def random_rows(rng, n, scale=1.0, missing=0.1):
    """Rows of five features, the last a category, and their labels; column 0 misses no value."""
    rows = rng.normal(size=(n, 5))
    rows[:, 4] = rng.integers(0, CATEGORIES, n)
    effect = rng.normal(size=CATEGORIES)[rows[:, 4].astype(int)]
    labels = (rows[:, 0] + rows[:, 1] + effect + rng.normal(size=n) > 1).astype(np.int8)
    rows[:, 1] = np.round(rows[:, 1])  # ties on thresholds
    rows[:, 2] *= scale
    rows[:, 1:][rng.random((n, 4)) < missing] = np.nan
    rows = rows.astype(np.float32)
    # Tensor forms take numbers that are too small to be normal for zero or the next smaller one.
    rows[np.abs(rows) < np.finfo(np.float32).smallest_normal] = 0
    return rows, labels


def hostile(rng, rows):
    """Rows with missing values, zeros, infinities, tiny numbers and categories never seen."""
    rows = rows.copy()
    for value in (np.nan, 0.0, -0.0, np.inf, -np.inf, 2e-38, 1e-35, 3.4e38):
        rows[rng.random(rows.shape) < 0.05] = value
    for category in (-1, CATEGORIES, 1e6, 3e9):
        rows[rng.random(len(rows)) < 0.03, 4] = category
    return rows


def fit_lightgbm(rows, labels, rounds=30, categorical=(), **parameters):
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


def fit_xgboost(rows, labels, rounds=30, categorical=(), **parameters):
    kinds = ["c" if i in categorical else "q" for i in range(rows.shape[1])]
    known = np.where(np.isin(rows, (np.inf, -np.inf)), np.nan, rows)
    data = xgboost.DMatrix(known, labels, feature_types=kinds, enable_categorical=True)
    return xgboost.train({"objective": "binary:logistic", "nthread": 1, **parameters}, data, rounds)


def xgboost_margin(booster, rows, categorical=()):
    kinds = ["c" if i in categorical else "q" for i in range(rows.shape[1])]
    data = xgboost.DMatrix(rows, feature_types=kinds, enable_categorical=True)
    return booster.predict(data, output_margin=True)


def saved(booster):
    return json.loads(booster.save_raw("json"))


def native_graph(forest):
    builder = GraphNodes()
    add_tree_ensemble(builder, forest, "features", "margin")
    return graph_of(builder, forest.width)


def graph_of(builder, width):
    return serialized(
        helper.make_model(
            helper.make_graph(
                builder.nodes,
                "trees",
                [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", width])],
                [helper.make_tensor_value_info("margin", TensorProto.FLOAT, ["n", 1])],
                builder.constants,
            ),
            ir_version=8,
            opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)],
        )
    )


def run(model, rows):
    return load_session(model, "trees").run(None, {"features": rows})[0][:, 0]


def counted(forest, monkeypatch):
    """The tensor form that counts, whatever the size of the trees."""
    monkeypatch.setattr(tensor_writer, "_COUNTING_WORK", 1 << 60)
    return tensor_form(native_graph(forest))


def walked(forest, monkeypatch):
    monkeypatch.setattr(tensor_writer, "_COUNTING_WORK", 0)
    return tensor_form(native_graph(forest))
