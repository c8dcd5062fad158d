"""A package's graph in float64, by ONNX's reference implementation: engines are held to it."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from inference.engine.protocol import Outputs


class TreeEnsembleRegressor(OpRun):
    """ONNX's operator, from its specification; its own implementation takes a loop per row."""

    op_domain = "ai.onnx.ml"

    def _run(self, x, **attributes):
        nodes = {name[6:]: value for name, value in attributes.items() if name[:6] == "nodes_"}
        place = {
            key: i for i, key in enumerate(zip(nodes["treeids"], nodes["nodeids"], strict=True))
        }
        values = np.asarray(nodes["values_as_tensor"])
        leaf = np.zeros(len(place))
        for tree, node, weight in zip(
            attributes["target_treeids"],
            attributes["target_nodeids"],
            attributes["target_weights_as_tensor"],
            strict=True,
        ):
            leaf[place[tree, node]] += weight
        goes = np.array(
            [
                [place[tree, true], place[tree, false]]
                for tree, true, false in zip(
                    nodes["treeids"], nodes["truenodeids"], nodes["falsenodeids"], strict=True
                )
            ]
        )
        ends = np.array([mode == "LEAF" for mode in nodes["modes"]])
        assert set(nodes["modes"]) == {"LEAF", "BRANCH_LEQ"}
        feature = np.array(nodes["featureids"])
        missing_true = np.array(nodes["missing_value_tracks_true"], dtype=bool)
        total = np.full(len(x), float(np.sum(attributes["base_values_as_tensor"])))
        for tree in dict.fromkeys(nodes["treeids"]):
            at = np.full(len(x), place[tree, 0])
            while not ends[at].all():
                value = x[np.arange(len(x)), feature[at]]
                true = np.where(np.isnan(value), missing_true[at], value <= values[at])
                at = np.where(ends[at], at, goes[at, np.where(true, 0, 1)])
            total += leaf[at]
        return (total[:, None],)


def answer_in_float64(model: bytes, rows) -> Outputs:
    """The outputs of a graph for rows (n, k), with every number in it a float64."""
    graph = onnx.load_from_string(model)
    for constant in graph.graph.initializer:
        if constant.data_type == TensorProto.FLOAT:
            array = numpy_helper.to_array(constant).astype(np.float64)
            constant.CopyFrom(numpy_helper.from_array(array, constant.name))
    for node in graph.graph.node:
        for attribute in node.attribute:
            if node.op_type == "Cast" and attribute.i == TensorProto.FLOAT:
                attribute.CopyFrom(helper.make_attribute("to", TensorProto.DOUBLE))
    for value in (*graph.graph.input, *graph.graph.output):
        value.type.tensor_type.elem_type = TensorProto.DOUBLE
    evaluator = ReferenceEvaluator(graph, new_ops=[TreeEnsembleRegressor])
    with np.errstate(all="ignore"):  # a margin may well overflow to a probability of 0
        outputs = evaluator.run(list(Outputs._fields), {"features": rows.astype(np.float64)})
    assert all(values.dtype == np.float64 for values in outputs)
    return Outputs(*outputs)
