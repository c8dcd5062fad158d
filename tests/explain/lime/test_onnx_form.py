"""The graph that explains gives Lime's explanations."""

import dataclasses

import numpy as np
import onnx
import pytest

from explain.errors import ExplainError
from explain.lime.lime import Lime
from explain.lime.onnx_form import OUTPUTS, FusedLime, fused_graph
from explain.lime.perturbation_design import draw
from explain.lime.settings import ExplainSettings
from inference.backends.tensorrt.build import BuildRequest, build_plan
from inference.backends.tensorrt.library import LibraryMissingError, load_library
from inference.backends.tensorrt.profiles import profiles_of
from inference.forest.graph_forms import has_trees

SETTINGS = ExplainSettings(samples=256, groups={"amounts": ("amount", "amount_7d")})


def assert_alike(found, expected, atol):
    for one, other in zip(found, expected, strict=True):
        for name in ("log_odds", "baseline", "local", "attributions", "error", "r2"):
            np.testing.assert_allclose(
                getattr(one, name), getattr(other, name), atol=atol, err_msg=name
            )
        assert one.vsi == pytest.approx(other.vsi, abs=0.1)


def test_the_graph_explains_as_lime_does(package, data):
    rows = data.matrix[:40]
    assert_alike(
        FusedLime(package, SETTINGS).explain(rows), Lime(package, SETTINGS).explain(rows), 2e-4
    )


def test_a_model_that_only_tells_its_score(package, data):
    """As an imported one does: the log-odds come of a float32 score."""
    graph = onnx.load_from_string(package.tensors)
    for node in graph.graph.node:
        for names in (node.input, node.output):
            for place, name in enumerate(names):
                if name == "log_odds":
                    names[place] = "inner"
    other = dataclasses.replace(package, tensors=graph.SerializeToString())
    rows = data.matrix[:10]
    assert_alike(
        FusedLime(other, SETTINGS).explain(rows), Lime(package, SETTINGS).explain(rows), 5e-3
    )


def test_no_tree_is_left_for_engines_without_trees(package):
    graph = onnx.load_from_string(fused_graph(package, draw(package, SETTINGS)))
    assert not has_trees(graph)
    assert {entry.domain for entry in graph.opset_import} <= {""}


def test_tensorrt_rtx_builds_it(package):
    try:
        library = load_library("tensorrt_rtx")
    except LibraryMissingError as error:
        pytest.skip(str(error))
    request = BuildRequest(
        name="the explainer",
        model=fused_graph(package, draw(package, SETTINGS)),
        width=len(package.features.names),
        profiles=profiles_of((1, 4)),
        precision="float32",
        memory=1 << 30,
        compute_capability=(8, 9),
        outputs=OUTPUTS,
    )
    assert len(build_plan(library, request)) > 100_000


def test_the_same_package_gives_the_same_graph(package):
    one, other = (fused_graph(package, draw(package, SETTINGS)) for _ in range(2))
    assert one == other


def test_what_cannot_be_built_upon_says_why(package):
    design = draw(package, SETTINGS)
    graph = onnx.load_from_string(package.tensors)
    graph.opset_import[0].version = 12
    old = dataclasses.replace(package, tensors=graph.SerializeToString())
    with pytest.raises(ExplainError, match="opset 12; 13 or later"):
        fused_graph(old, design)
    graph = onnx.load_from_string(package.tensors)
    graph.graph.node[0].output[0] = "explain_me"
    taken = dataclasses.replace(package, tensors=graph.SerializeToString())
    with pytest.raises(ExplainError, match="names that begin with 'explain'"):
        fused_graph(taken, design)
