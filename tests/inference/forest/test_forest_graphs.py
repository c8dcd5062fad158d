"""Trees in graphs of others: ONNX's operators as exporters and others may write them."""

import gc
import itertools
from pathlib import Path

import numpy as np
import onnx
import pytest
from boosters import native_graph, run
from onnx import TensorProto, helper

from inference.engine.onnx_session import load_session
from inference.forest.columns import TreeError
from inference.forest.compiled_forest import CompiledForest
from inference.forest.forest import Leaf, Split, build_forest
from inference.forest.graph_forms import margin_given, tensor_form
from inference.forest.onnx_reader import read_tree_ensemble

MODELS = Path(__file__).parents[2] / "data" / "models"
INTEGERS = np.array([[x, y] for x in (-1, 0, 1, 2, 3, 0.5, np.nan) for y in (0, 1, 2)], np.float32)


def graph(node, width, outputs):
    model = helper.make_model(
        helper.make_graph(
            [node],
            "trees",
            [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", width])],
            [helper.make_tensor_value_info(*output) for output in outputs],
        ),
        ir_version=8,
        opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)],
    )
    return model.SerializeToString()


def regressor(modes=("BRANCH_LEQ", "BRANCH_LEQ"), values=(1.0, 1.0), **attributes):
    """Two stumps over two features, with four different answers."""
    return graph(
        helper.make_node(
            "TreeEnsembleRegressor",
            ["features"],
            ["margin"],
            domain="ai.onnx.ml",
            **{
                "nodes_treeids": [0, 0, 0, 7, 7, 7],
                "nodes_nodeids": [0, 1, 2, 2, 1, 0],
                "nodes_featureids": [0, 0, 0, 1, 0, 0],
                "nodes_values": [values[0], 0.0, 0.0, values[1], 0.0, 0.0],
                "nodes_modes": [modes[0], "LEAF", "LEAF", modes[1], "LEAF", "LEAF"],
                "nodes_truenodeids": [1, 0, 0, 0, 0, 0],
                "nodes_falsenodeids": [2, 0, 0, 1, 0, 0],
                "nodes_missing_value_tracks_true": [1, 0, 0, 0, 0, 0],
                "target_treeids": [0, 0, 7, 7],
                "target_nodeids": [1, 2, 0, 1],
                "target_ids": [0, 0, 0, 0],
                "target_weights": [1.0, 2.0, 10.0, 20.0],
                "base_values": [0.5],
                "n_targets": 1,
                **attributes,
            },
        ),
        2,
        [("margin", TensorProto.FLOAT, ["n", 1])],
    )


def compiled(model, rows):
    """The answers of a graph whose trees are answered by `CompiledForest`."""
    rest, trees, name = margin_given(model)
    margin = CompiledForest(trees.forest)(rows).astype(np.float32)[:, None]
    return load_session(rest, "rest").run(None, {"features": rows, name: margin})[0]


MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GT", "BRANCH_GTE", "BRANCH_EQ")


@pytest.mark.parametrize(("first", "second"), list(itertools.product(MODES, MODES)))
def test_every_kind_of_split_is_read_as_onnx_runtime_reads_it(first, second):
    model = regressor((first, second))
    if "BRANCH_EQ" not in (first, second):
        np.testing.assert_array_equal(compiled(model, INTEGERS)[:, 0], run(model, INTEGERS))
    np.testing.assert_array_equal(run(tensor_form(model), INTEGERS), run(model, INTEGERS))


def test_an_average_of_trees_is_one():
    model = regressor(aggregate_function="AVERAGE")
    np.testing.assert_array_equal(run(tensor_form(model), INTEGERS), run(model, INTEGERS))


def test_all_weights_of_a_leaf_are_added_and_others_are_not():
    """Wherever they stand: a leaf without any is 0, and splits and strangers have no say."""
    model = regressor(
        target_treeids=[7, 0, 7, 0, 7, 0, 5],
        target_nodeids=[0, 1, 0, 1, 2, 1, 1],
        target_ids=[0] * 7,
        target_weights=[0.25, 1e16, 0.5, 1.0, 64.0, -1e16, 128.0],
    )
    forest = margin_given(model)[1].forest
    assert forest.value.tolist() == [0, 0, 0, 0, 0.75, 0]  # 1e16 + 1 is 1e16 again


def test_nodes_may_have_any_numbers_and_stand_in_any_order():
    ordered = margin_given(regressor())[1].forest
    shuffled = margin_given(
        regressor(
            nodes_treeids=[-2, -2, -2, 7, 7, 7],
            nodes_nodeids=[-1, 5, 2**31 - 1, 2, 1, 0],
            nodes_truenodeids=[5, 0, 0, 0, 0, 0],
            nodes_falsenodeids=[2**31 - 1, 0, 0, 1, 0, 0],
            target_treeids=[-2, -2, 7, 7],
            target_nodeids=[5, 2**31 - 1, 0, 1],
        )
    )[1].forest
    for name in ("roots", "column", "threshold", "missing_left", "left", "right", "value"):
        np.testing.assert_array_equal(getattr(shuffled, name), getattr(ordered, name))


def test_a_set_of_categories_is_read_as_exporters_write_it():
    """A chain of splits on equality, all with the same branch for those in the set."""
    model = regressor(
        nodes_treeids=[0] * 7,
        nodes_nodeids=[*range(7)],
        nodes_featureids=[0, 0, 0, 1, 0, 0, 0],
        nodes_values=[3.0, 1.0, 2.0, 0.5, 0.0, 0.0, 0.0],
        nodes_modes=["BRANCH_EQ"] * 3 + ["BRANCH_LEQ"] + ["LEAF"] * 3,
        nodes_truenodeids=[3, 3, 3, 4, 0, 0, 0],
        nodes_falsenodeids=[1, 2, 6, 5, 0, 0, 0],
        nodes_missing_value_tracks_true=[0] * 7,
        target_treeids=[0] * 3,
        target_nodeids=[4, 5, 6],
        target_ids=[0] * 3,
        target_weights=[1.0, 2.0, 4.0],
    )
    with pytest.raises(TreeError, match="join so often"):  # 13 nodes of one tree of 7
        margin_given(model)
    with_more = onnx.load_from_string(model)
    for attribute in with_more.graph.node[0].attribute:
        copies = {"nodes_treeids": [1] * 7, "target_treeids": [1] * 3}
        attribute.ints.extend(copies.get(attribute.name, list(attribute.ints)))
        attribute.floats.extend([] if attribute.name == "base_values" else list(attribute.floats))
        attribute.strings.extend(list(attribute.strings))
    model = with_more.SerializeToString()
    forest = margin_given(model)[1].forest
    assert [derived.categories for derived in forest.derived] == [(1,), (2,), (3,)]
    rows = INTEGERS[~np.isnan(INTEGERS[:, 0])]
    np.testing.assert_array_equal(compiled(model, rows)[:, 0], run(model, rows))


def test_no_python_object_is_made_for_each_node():
    """They would be collected in the middle of scoring, and all threads wait for that."""
    stump = [Split(0, 0.5, True, 1, 2), Leaf(0.0), Leaf(1.0)]
    node = onnx.load_from_string(native_graph(build_forest(1, 0.0, [stump] * 2_000))).graph.node[-1]
    gc.collect()
    before = gc.get_stats()[0]["collections"]
    read_tree_ensemble(node, 1)
    assert gc.get_stats()[0]["collections"] == before


def classifier(path):
    """The one operator of an exported file as a graph that answers its scores."""
    exported = onnx.load(path)
    (node,) = (n for n in exported.graph.node if n.op_type == "TreeEnsembleClassifier")
    width = exported.graph.input[0].type.tensor_type.shape.dim[1].dim_value
    node.input[0], node.output[1] = "features", "scores"
    return graph(node, width, [("scores", TensorProto.FLOAT, ["n", 2])]), width


@pytest.mark.parametrize("name", ["lightgbm", "xgboost", "sklearn_boosting", "sklearn_forest"])
def test_exported_classifiers_answer_alike_in_every_form(name):
    model, width = classifier(MODELS / f"{name}.onnx")
    rng = np.random.default_rng(0)
    rows = (rng.normal(size=(2_000, width)) * rng.lognormal(2, 2, width)).astype(np.float32)
    rows[rng.random(rows.shape) < 0.05] = np.nan
    expected = load_session(model, name).run(None, {"features": rows})[0]
    assert len(np.unique(expected)) > 20
    tensors = load_session(tensor_form(model), name).run(None, {"features": rows})[0]
    # The operator adds floats in float32, because its attributes are floats.
    np.testing.assert_allclose(tensors, expected, rtol=0, atol=2e-6)
    np.testing.assert_allclose(compiled(model, rows), expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_targets": 2}, "2 outputs"),
        ({"aggregate_function": "MAX"}, "aggregate_function MAX"),
        ({"post_transform": "LOGISTIC"}, "post_transform LOGISTIC of a regressor"),
        ({"modes": ("BRANCH_NEQ", "BRANCH_LEQ")}, "mode BRANCH_NEQ"),
        ({"modes": ("BRANCH_EQ", "BRANCH_LEQ"), "values": (0.5, 0.5)}, "equality with 0.5"),
        ({"nodes_falsenodeids": [9, 0, 0, 1, 0, 0]}, "malformed"),
        ({"nodes_truenodeids": [2, 0, 0, 0, 0, 0]}, "one root each|two ways"),
        ({"nodes_featureids": [5, 0, 0, 1, 0, 0]}, "feature 5"),
        ({"target_weights": [1.0]}, "margin is malformed: target_weights has 1 entries, not 4"),
        ({"nodes_modes": ["LEAF"]}, "malformed: nodes_modes has 1 entries, not 6"),
        ({"nodes_modes": ["LEAF"] * 6}, "no tree has a split"),
        ({"modes": ("BRANCH_EQ",) * 2, "values": (np.inf, 1.0)}, "equality with inf"),
        ({"nodes_truenodeids": [9, 0, 0, 0, 0, 0]}, "leads to node 9 of tree 0, which has none"),
        ({"nodes_nodeids": [0, 1, 1, 2, 1, 0]}, "tree 0 has two nodes 1"),
        ({"nodes_nodeids": [0, 1, 2**32, 2, 1, 0]}, "4294967296 .* more than 32 bits"),
        ({"nodes_treeids": [0, 0, 0, 8, 7, 7]}, "leads to node 0 of tree 8, which has none"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_reason(change, message):
    with pytest.raises(TreeError, match=message):
        tensor_form(regressor(**change))


def test_a_label_that_is_read_and_other_classifiers_are_refused():
    model = onnx.load_from_string(classifier(MODELS / "xgboost.onnx")[0])
    node = model.graph.node[0]
    model.graph.output.append(
        helper.make_tensor_value_info(node.output[0], TensorProto.INT64, ["n"])
    )
    with pytest.raises(TreeError, match="the label that trees choose"):
        tensor_form(model.SerializeToString())
    del model.graph.output[-1]
    model.opset_import[0].version = 12
    with pytest.raises(TreeError, match="opset 12; 13 or later"):
        tensor_form(model.SerializeToString())
    model.opset_import[0].version = 17
    ids = next(a for a in node.attribute if a.name == "class_ids")
    ids.ints[0] = 1
    with pytest.raises(TreeError, match="one weight for both classes"):
        tensor_form(model.SerializeToString())


def test_a_cast_that_changes_numbers_is_no_detour():
    """To double and back nothing is lost; to whole numbers, what stands behind the point."""
    model = onnx.load_from_string(regressor())
    model.graph.node[0].input[0] = "whole"
    for through in (TensorProto.DOUBLE, TensorProto.INT64):
        casts = [("features", "between", through), ("between", "whole", TensorProto.FLOAT)]
        del model.graph.node[:-1]
        for source, name, kind in reversed(casts):
            model.graph.node.insert(0, helper.make_node("Cast", [source], [name], to=kind))
        rows = INTEGERS[~np.isnan(INTEGERS[:, 0])] + np.float32(0.9)
        expected = run(model.SerializeToString(), rows)
        np.testing.assert_array_equal(run(tensor_form(model.SerializeToString()), rows), expected)
        if through == TensorProto.INT64:
            with pytest.raises(TreeError, match="computed from the features"):
                margin_given(model.SerializeToString())
        else:
            assert margin_given(model.SerializeToString())[1].source == "features"


def test_a_graph_without_trees_has_no_other_form():
    model = tensor_form(regressor())
    assert tensor_form(model) == model
    with pytest.raises(TreeError, match="0 tree ensembles"):
        margin_given(model)
