"""External data, and models that would bring down whoever loads them."""

import os
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_models import NAMES, WEIGHTS, logistic, model, node, save

from inference.importing.sandbox.inspection import Request, inspect
from inference.importing.sandbox.sandbox import inspect_apart, run_apart
from inference.importing.static.limits import Limits
from inference.importing.static.refusal import ImportRefusedError

REQUEST = Request(NAMES, limits=Limits(memory_mb=2_000, seconds=60))


def with_external_data(folder: Path, location: str, **more: str) -> Path:
    """A model whose weights lie at a location, as it says."""
    made = model(logistic())
    tensor = made.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, text in {"location": location, **more}.items():
        tensor.external_data.add(key=key, value=text)
    folder.mkdir(exist_ok=True)
    return save(folder / "model.onnx", made)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder for a model, beside a file that it may not read."""
    (tmp_path / "secret").write_bytes(WEIGHTS.tobytes())
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


def test_data_beside_the_model_are_taken_into_it(folder):
    (folder / "weights").write_bytes(b"head" + WEIGHTS.tobytes())
    path = with_external_data(folder, "weights", offset="4", length=str(WEIGHTS.nbytes))
    core, found = inspect(path, REQUEST)
    (weights,) = (t for t in core.graph.initializer if t.name == "model/w")
    np.testing.assert_array_equal(numpy_helper.to_array(weights), WEIGHTS)
    assert not weights.external_data
    assert "external data" in dict(found.checks)["file"]


def test_what_onnx_itself_writes_beside_the_model_is_read(folder):
    path = folder / "model.onnx"
    onnx.save(model(logistic()), path, save_as_external_data=True, size_threshold=0)
    assert inspect(path, REQUEST)[1].kind == "probability"


@pytest.mark.parametrize(
    "location",
    ["../secret", "x/../../secret", "/etc/passwd", "linked/secret", "x/w.data", "..", ""],
)
def test_data_that_are_not_right_beside_the_model_are_refused(folder, location):
    (folder / "linked").symlink_to("..")
    (folder / "x").mkdir()
    (folder / "x" / "w.data").write_bytes(WEIGHTS.tobytes())
    with pytest.raises(ImportRefusedError) as refused:
        inspect(with_external_data(folder, location), REQUEST)
    assert refused.value.place == "initializer 'w'"
    assert "no file of the model's own folder" in refused.value.problem
    assert repr(location) in refused.value.problem


@pytest.mark.parametrize(
    ("location", "more", "said"),
    [
        ("absent.bin", {}, "not beside the model"),
        ("circle.bin", {}, "is a link"),
        ("link.bin", {}, "is a link"),
        ("out.bin", {}, "is a link"),
        ("pipe.bin", {}, "no file"),
        ("device.bin", {}, "is a link"),
        ("linked.bin", {}, "a second name"),
        ("key.data", {}, "is text"),
        ("keys.data", {}, "key or certificate"),
        ("umlauts.data", {}, "is text"),
        ("base.bin", {}, "a database"),
        ("key.bin", {}, "a key"),
        ("audit-key.pem", {}, "not called as weights are"),
        ("weir.toml", {}, "not called as weights are"),
        ("short.bin", {}, "3x1 elements"),
        ("short.bin", {"offset": "2", "length": "12"}, "outside"),
        ("short.bin", {"offset": "-1"}, "outside"),
        ("short.bin", {"length": "many"}, "no numbers"),
    ],
)
def test_what_may_be_no_weights_is_refused(folder, location, more, said):
    secret = b"-----BEGIN PRIVATE KEY-----\nMC4CAQAw\n-----END PRIVATE KEY-----\n"
    files = {
        "real.bin": WEIGHTS.tobytes(),
        "linked.bin": WEIGHTS.tobytes(),
        "short.bin": b"\0\1\2\3",
        "key.data": secret,
        "keys.data": b"\xff" + secret,
        "umlauts.data": "Schlüssel ".encode() * 7_000,
        "base.bin": b"SQLite format 3\0\xff\xff",
        "key.bin": b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20" + bytes(32),
        "audit-key.pem": secret,
        "weir.toml": b"\0",
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    (folder / "second.bin").hardlink_to(folder / "linked.bin")
    (folder / "circle.bin").symlink_to("circle.bin")
    (folder / "link.bin").symlink_to("real.bin")
    (folder / "out.bin").symlink_to("../secret")
    (folder / "device.bin").symlink_to("/dev/zero")
    os.mkfifo(folder / "pipe.bin")
    path = with_external_data(folder, location, **more)
    with pytest.raises(ImportRefusedError) as refused:
        inspect(path, REQUEST)
    assert said in refused.value.problem
    if "elements" not in said and "numbers" not in said:
        assert repr(location) in refused.value.problem
        assert "onnx.save" in refused.value.fix


@pytest.mark.parametrize(
    "name",
    [
        *("m.onnx.data", "m.onnx_data", "m.onnx_data_1", "w.bin", "fc1.weight", "fc1.bias"),
        *("weights", "5c3fd2a2-8b6a-11ee-b9d1-0242ac120002"),
    ],
)
def test_names_that_exporters_give_are_taken(folder, name):
    (folder / name).write_bytes(WEIGHTS.tobytes())
    assert inspect(with_external_data(folder, name), REQUEST)[1].kind == "probability"


def test_data_beside_the_model_can_be_read_apart_and_other_files_can_not(folder):
    (folder / "w.bin").write_bytes(WEIGHTS.tobytes())
    path = with_external_data(folder, "w.bin")
    assert inspect_apart(path, REQUEST)[1].kind == "probability"
    with pytest.raises(ImportRefusedError, match=r"(?s)'\.\./secret'.*own folder") as refused:
        inspect_apart(with_external_data(folder, "../secret"), REQUEST)
    assert refused.value.file == str(path)


def test_data_of_a_node_and_of_a_graph_in_a_node_are_looked_at_too(folder):
    tensor = numpy_helper.from_array(WEIGHTS, "hidden")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../secret.bin")
    branch = helper.make_graph(
        [node("Constant", [], ["v"], value=tensor)],
        "branch",
        [],
        [helper.make_tensor_value_info("v", TensorProto.FLOAT, None)],
    )
    nodes = [node("If", ["yes"], ["v"], then_branch=branch, else_branch=branch), *logistic()]
    path = save(folder / "model.onnx", model(nodes, constants={"yes": np.array(True)}))
    with pytest.raises(ImportRefusedError) as refused:
        inspect(path, REQUEST)
    assert "graph 'then_branch'" in refused.value.place or "else_branch" in refused.value.place
    assert "no file of the model's own folder" in refused.value.problem


def test_external_data_that_are_too_large_are_refused(folder):
    with (folder / "large.bin").open("wb") as stream:
        stream.truncate(2 << 20)
    small = Request(NAMES, limits=Limits(file_mb=1))
    with pytest.raises(ImportRefusedError, match="limit of 1 MiB"):
        inspect(with_external_data(folder, "large.bin"), small)


# In a process of its own.


def test_an_inspection_apart_finds_what_one_here_finds(tmp_path):
    path = save(tmp_path / "model.onnx", model(logistic()))
    core, found = inspect(path, REQUEST)
    apart, found_apart = inspect_apart(path, REQUEST)
    assert found_apart == found
    assert apart == core.SerializeToString(deterministic=True)


def test_a_file_is_found_from_where_we_are(tmp_path, monkeypatch):
    save(tmp_path / "model.onnx", model(logistic()))
    monkeypatch.chdir(tmp_path)
    assert inspect_apart(Path("model.onnx"), REQUEST)[1].kind == "probability"


def test_a_refusal_apart_names_the_file(tmp_path):
    path = save(
        tmp_path / "odd.onnx",
        model([node("Mine", ["x"], ["y"], domain="evil")], opsets={"": 17, "evil": 1}),
    )
    with pytest.raises(ImportRefusedError) as refused:
        inspect_apart(path, REQUEST)
    assert str(refused.value).startswith(f"{path}: node 0 (Mine): it is a custom operator")


def test_a_graph_that_asks_for_all_memory_is_refused(tmp_path):
    nodes = [
        node("ConstantOfShape", ["huge"], ["zeros"]),
        node("ReduceSum", ["zeros"], ["sum"], keepdims=0),
        node("Add", ["x", "sum"], ["r"]),
        *logistic("r"),
    ]
    made = model(nodes, constants={"huge": np.array([400_000, 400_000])})
    path = save(tmp_path / "model.onnx", made)
    with pytest.raises(ImportRefusedError) as refused:
        inspect_apart(path, REQUEST)
    assert refused.value.file == str(path)


def test_a_graph_that_takes_too_long_is_refused(tmp_path):
    slow = [node("MatMul", [f"m{i}", f"m{i}"], [f"m{i + 1}"]) for i in range(40)]
    nodes = [
        node("ConstantOfShape", ["shape"], ["m0"]),
        *slow,
        node("ReduceMean", ["m40"], ["mean"], keepdims=0),
        node("Add", ["x", "mean"], ["r"]),
        *logistic("r"),
    ]
    made = model(nodes, constants={"shape": np.array([6_000, 6_000])})
    path = save(tmp_path / "model.onnx", made)
    with pytest.raises(ImportRefusedError, match=r"more than 2 seconds|SIGXCPU"):
        inspect_apart(path, Request(NAMES, limits=Limits(seconds=2)))


def test_a_process_that_dies_is_an_error_message(tmp_path, monkeypatch):
    # A stand-in for the interpreter: what it runs ends as a crash in the runtime would.
    dying = tmp_path / "dying"
    dying.write_text("#!/bin/sh\nkill -SEGV $$\n")
    dying.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(dying))
    path = save(tmp_path / "model.onnx", model(logistic()))
    with pytest.raises(ImportRefusedError, match="ended by SIGSEGV") as refused:
        inspect_apart(path, REQUEST)
    assert refused.value.file == str(path)


def test_outputs_come_back_from_apart(tmp_path):
    core, _ = inspect(save(tmp_path / "model.onnx", model(logistic())), REQUEST)
    rows = np.random.default_rng(0).normal(size=(9_000, 3)).astype(np.float32)
    answers = run_apart(core.SerializeToString(), rows, ["model_score"], Limits(), "model.onnx")
    expected = 1 / (1 + np.exp(-(rows @ WEIGHTS)[:, 0].astype(np.float64)))
    np.testing.assert_allclose(answers["model_score"], expected, atol=1e-6)
