"""scikit-learn's operators as tensor operators answer as ONNX Runtime's own."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from onnx_models import FLOAT, model, node

from inference.importing.sandbox.plain_operators import with_plain_operators

ML = {"": 17, "ai.onnx.ml": 3}
COEFFICIENTS = [0.4, -0.3, 0.2, -0.4, 0.3, -0.2]


def answers(made: bytes) -> np.ndarray:
    rows = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    rows[::7, 1] = np.nan
    return onnxruntime.InferenceSession(made).run(["y"], {"x": rows})[0]


def domains(made: bytes) -> set[str]:
    return {each.domain for each in onnx.load_from_string(made).graph.node}


def classifier(transform: str, **more: object) -> onnx.NodeProto:
    attributes = {
        "classlabels_ints": [0, 1],
        "coefficients": COEFFICIENTS,
        "intercepts": [0.5, -0.25],
        "post_transform": transform,
    }
    return node("LinearClassifier", ["x"], ["label", "y"], domain="ai.onnx.ml", **attributes | more)


@pytest.mark.parametrize(
    ("operator", "width"),
    [
        (
            node(
                "Scaler",
                ["x"],
                ["y"],
                domain="ai.onnx.ml",
                offset=[1.0, 2.0, 3.0],
                scale=[0.5, 2.0, 1.0],
            ),
            3,
        ),
        (node("Scaler", ["x"], ["y"], domain="ai.onnx.ml", offset=[1.0], scale=[0.5]), 3),
        (
            node(
                "Imputer",
                ["x"],
                ["y"],
                domain="ai.onnx.ml",
                imputed_value_floats=[1.0, 2.0, 3.0],
                replaced_value_float=float("nan"),
            ),
            3,
        ),
        (classifier("NONE"), 2),
        (classifier("LOGISTIC"), 2),
        (classifier("SOFTMAX"), 2),
        (
            node(
                "LinearRegressor",
                ["x"],
                ["y"],
                domain="ai.onnx.ml",
                coefficients=COEFFICIENTS[:3],
                intercepts=[0.5],
            ),
            1,
        ),
    ],
    ids=["scaler", "one scale", "imputer", "margins", "logistic", "softmax", "regressor"],
)
def test_each_operator_answers_alike(operator, width):
    output = helper.make_tensor_value_info("y", FLOAT, ["n", width])
    made = model([operator], outputs=[output], opsets=ML).SerializeToString()
    plain = with_plain_operators(made)
    assert domains(plain) == {""}
    np.testing.assert_allclose(answers(plain), answers(made), atol=1e-6)


@pytest.mark.parametrize(
    "operators",
    [
        [
            node(
                "Imputer",
                ["x"],
                ["y"],
                domain="ai.onnx.ml",
                imputed_value_floats=[1.0],
                replaced_value_float=-1.0,
            )
        ],
        [classifier("PROBIT")],
        [classifier("LOGISTIC"), node("Cast", ["label"], ["used"], to=TensorProto.FLOAT)],
        [node("Normalizer", ["x"], ["y"], domain="ai.onnx.ml", norm="L2")],
    ],
    ids=["another missing value", "probit", "its label is read", "normalizer"],
)
def test_what_is_used_otherwise_stays_as_it_is(operators):
    outputs = [helper.make_tensor_value_info("y", FLOAT, None)]
    made = model(operators, outputs=outputs, opsets=ML)
    made.graph.output[0].type.tensor_type.shape.dim.add().dim_param = "n"
    made.graph.output[0].type.tensor_type.shape.dim.add()
    assert "ai.onnx.ml" in domains(with_plain_operators(made.SerializeToString()))
