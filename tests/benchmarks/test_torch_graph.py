"""The package's graph in PyTorch against ONNX Runtime; PyTorch is no dependency of the tests."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
from boosters import counted, fit_lightgbm, hostile, random_rows, run, walked
from onnx import helper
from payments import payments, quick_settings

from inference.engine.onnx_session import load_session
from inference.engine.protocol import TOLERANCE, Outputs
from inference.forest import tensor_writer
from inference.forest.columns import Membership
from inference.forest.forest import Leaf, Split, build_forest
from inference.forest.graph_forms import tensor_form
from inference.forest.lightgbm_reader import read_lightgbm
from inference.training.train import train

torch = pytest.importorskip("torch")

from benchmarks.gpu_engine import pytorch  # noqa: E402
from benchmarks.torch_graph import TorchContender, TorchGraph, UnknownOperatorError  # noqa: E402

CPU = torch.device("cpu")
SHAPES = {"MatMul": 1 << 60, "GatherElements": 0}
"""The operator that only leaf counting or only walking has, and the limit that makes it."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    data = payments(6_000)
    folder = tmp_path_factory.mktemp("packages")
    return train(data, quick_settings(), folder, lambda stage, share: None), data


@pytest.fixture(params=SHAPES)
def package(request, trained, monkeypatch):
    """The same package with its trees in either shape."""
    monkeypatch.setattr(tensor_writer, "_COUNTING_WORK", SHAPES[request.param])
    package = replace(trained[0], tensors=tensor_form(trained[0].model))
    nodes = onnx.load_from_string(package.tensors).graph.node
    walks = any(node.op_type == "GatherElements" for node in nodes)
    assert walks == (request.param == "GatherElements")
    return package


@pytest.fixture
def rows(trained):
    rng = np.random.default_rng(8)
    rows = trained[1].matrix[rng.permutation(6_000)[:2_000]].copy()
    rows[rng.random(rows.shape) < 0.1] = np.nan
    return rows


def expected(package, rows):
    session = load_session(package.tensors, "tensors")
    return Outputs(*session.run(Outputs._fields, {"features": rows}))


def assert_close(answers, right):
    for values, wanted in zip(answers, right, strict=True):
        assert values.dtype == np.float32
        assert len(np.unique(wanted)) > 1
        np.testing.assert_allclose(values, wanted, rtol=0, atol=TOLERANCE["float32"])


def test_packages_of_both_shapes_are_answered_as_by_onnx_runtime(package, rows):
    contender = TorchContender(package, CPU, captured=False)
    right = expected(package, rows)
    assert_close(contender(rows), right)
    for size in (1, 7, 500):
        for values, wanted in zip(contender(rows[:size]), right, strict=True):
            np.testing.assert_allclose(values, wanted[:size], rtol=0, atol=TOLERANCE["float32"])


def test_answers_are_the_callers_to_keep(package, rows):
    contender = TorchContender(package, CPU, captured=False)
    first = contender(rows[:100])
    kept = [values.copy() for values in first]
    contender(rows[100:200])
    for values, before in zip(first, kept, strict=True):
        np.testing.assert_array_equal(values, before)


@pytest.mark.gpu
@pytest.mark.parametrize("captured", [True, False])
def test_a_gpu_answers_as_onnx_runtime(package, rows, captured):
    if not torch.cuda.is_available():
        pytest.skip("PyTorch finds no GPU")
    contender = TorchContender(package, torch.device("cuda"), captured)
    for size in (1, 500, 2_000, 1, 500):
        assert len(contender(rows[:size]).score) == size
    assert_close(contender(rows), expected(package, rows))
    assert_close(contender(rows[::-1]), expected(package, rows[::-1]))


@pytest.mark.parametrize("form", [counted, walked])
@pytest.mark.parametrize("zero_as_missing", [True, False])
def test_columns_that_trees_derive_are_answered_too(form, zero_as_missing, monkeypatch):
    rng = np.random.default_rng(2)
    known, labels = random_rows(rng, 600)
    booster = fit_lightgbm(known, labels, categorical=(4,), zero_as_missing=zero_as_missing)
    model = form(read_lightgbm([booster.dump_model()]), monkeypatch)
    asked = np.concatenate([known, hostile(rng, known)])
    (margin,) = TorchGraph(model, ["margin"], CPU)(torch.from_numpy(asked))
    np.testing.assert_allclose(margin[:, 0].numpy(), run(model, asked), rtol=0, atol=1e-5)


@pytest.mark.parametrize("form", [counted, walked])
def test_a_fraction_is_no_category_where_equality_is_asked_for(form, monkeypatch):
    is_two = Membership(0, exact=True, categories=(2,))
    forest = build_forest(1, 0.0, [[Split(is_two, 0.5, True, 1, 2), Leaf(0.0), Leaf(1.0)]])
    asked = torch.tensor([[2.0], [1.6], [2.4], [3.0], [-2.0], [np.nan]])
    (margin,) = TorchGraph(form(forest, monkeypatch), ["margin"], CPU)(asked)
    assert margin[:, 0].tolist() == [1, 0, 0, 0, 0, 0]


def test_means_are_taken_as_any_opset_writes_them(trained, rows):
    """From opset 18 on, the columns are an input."""
    package = trained[0]
    graph = onnx.load_from_string(package.tensors)
    (mean,) = (node for node in graph.graph.node if node.op_type == "ReduceMean")
    kept = [attribute for attribute in mean.attribute if attribute.name != "axes"]
    assert len(kept) < len(mean.attribute)
    del mean.attribute[:]
    mean.attribute.extend(kept)
    mean.input.append("column")
    later = replace(package, tensors=graph.SerializeToString())
    assert_close(TorchContender(later, CPU, captured=False)(rows), expected(package, rows))


@pytest.mark.parametrize(
    "change",
    [
        {"op_type": "Softplus"},
        {"attribute": [helper.make_attribute("transB", 0)]},
        {"input": ["features", ""]},
    ],
)
def test_what_the_writers_do_not_write_is_refused(trained, change):
    graph = onnx.load_from_string(trained[0].tensors)
    node = next(node for node in graph.graph.node if node.op_type == "Gemm")
    for field, value in change.items():
        if isinstance(value, list):
            node.ClearField(field)
            getattr(node, field).extend(value)
        else:
            setattr(node, field, value)
    with pytest.raises(UnknownOperatorError, match=f"no PyTorch form is known of {node.op_type}$"):
        TorchGraph(graph.SerializeToString(), Outputs._fields, CPU)


def test_numbers_that_are_computed_are_refused(trained):
    graph = onnx.load_from_string(trained[0].tensors)
    node = next(node for node in graph.graph.node if node.op_type == "Squeeze")
    node.input[1] = "features"
    with pytest.raises(UnknownOperatorError, match=r"known of Squeeze$"):
        TorchGraph(graph.SerializeToString(), Outputs._fields, CPU)


def test_a_dry_run_has_pytorch_on_the_cpu(trained, rows):
    ((name, contender),) = pytorch(trained[0], on_gpu=False).items()
    assert name == f"PyTorch {torch.__version__}, launches"
    assert_close(contender(rows), expected(trained[0], rows))


def test_a_graph_that_is_not_known_leaves_pytorch_out(trained, capsys):
    graph = onnx.load_from_string(trained[0].tensors)
    graph.graph.node[-1].op_type = "Softplus"
    other = replace(trained[0], tensors=graph.SerializeToString())
    assert pytorch(other, on_gpu=False) == {}
    assert "without PyTorch: no PyTorch form is known of Softplus" in capsys.readouterr().err


def test_a_gpu_that_pytorch_does_not_find_leaves_it_out(trained, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pytorch(trained[0], on_gpu=True) == {}
    assert "does not find the GPU" in capsys.readouterr().err
