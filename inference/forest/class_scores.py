"""The answers of ONNX's ``TreeEnsembleClassifier`` of two classes, from its margin."""

import onnx

from inference.forest.columns import TreeError
from inference.forest.operator_attributes import TreeAttributes
from inference.onnx_nodes import GraphNodes


def add_class_scores(builder: GraphNodes, node: onnx.NodeProto, margin: str) -> None:
    """Add the operator's scores (n, 2) under their own name, from the margin (n, 1).

    As exporters write classifiers of two classes, the margin m is that of the second one, and the
    scores are, as ONNX Runtime gives them (the specification leaves it open):

    * ``post_transform`` LOGISTIC: 1 / (1 + e^m) and 1 / (1 + e^-m);
    * NONE: 1 - m and m where no weight is negative, as in a random forest; else -m and m.

    The labels are not added: nothing may read them.

    Raises:
        TreeError: another ``post_transform``.
    """
    attributes = TreeAttributes(node)
    transform = attributes.text("post_transform", "NONE")
    negative = builder.add("Neg", [margin], "negative_margin")
    if transform == "LOGISTIC":
        log_odds = builder.add("Concat", [negative, margin], "both_margins", axis=1)
        against = builder.add("Neg", [log_odds], "both_negative")
        odds = builder.add("Exp", [against], "odds_against")
        one = builder.constant("one", 1.0)
        inverse = builder.add("Add", [odds, one], "inverse_scores")
        builder.add_as(node.output[1], "Reciprocal", [inverse])
        return
    if transform != "NONE":
        raise TreeError(f"post_transform {transform} of a tree classifier is not supported")
    if attributes.doubles("class_weights").min(initial=0) >= 0:
        negative = builder.add("Add", [negative, builder.constant("one", 1.0)], "other_share")
    builder.add_as(node.output[1], "Concat", [negative, margin], axis=1)
