"""Each reason for which an exported model is refused, and what the message says."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_models import FLOAT, INT64, NAMES, logistic, model, node, save, trees

from inference.importing.build.scaling import read_scaling
from inference.importing.sandbox.inspection import Inspection, Request, inspect
from inference.importing.static.limits import Limits
from inference.importing.static.refusal import ImportRefusedError

SMALL = Limits(file_mb=1, nodes=200, nesting=3, loop_rounds=100)
ML = {"": 17, "ai.onnx.ml": 3}
value = helper.make_tensor_value_info


@pytest.fixture
def check(tmp_path: Path) -> Callable[..., Inspection]:
    """Inspect a model as a file, asking for what is given."""

    def run(made: onnx.ModelProto, **asked: object) -> Inspection:
        path = save(tmp_path / "model.onnx", made)
        return inspect(path, Request(NAMES, limits=SMALL, **asked))[1]  # type: ignore[arg-type]

    return run


@pytest.fixture
def refusal(check: Callable[..., Inspection]) -> Callable[..., ImportRefusedError]:
    """Inspect a model that has to be refused, and return why."""

    def run(made: onnx.ModelProto, **asked: object) -> ImportRefusedError:
        with pytest.raises(ImportRefusedError) as refused:
            check(made, **asked)
        assert refused.value.fix
        return refused.value

    return run


def test_the_model_that_the_others_are_made_from_is_accepted(check):
    assert check(model(logistic())).kind == "probability"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"PK\x03\x04rest", "PyTorch's .pt"),
        (b"\x89HDF\r\n\x1a\nrest", "HDF5"),
        (b"\x80\x04rest", "pickle"),
        (b"version https://git-lfs.github.com/spec/v1", "Git LFS"),
        (b"\x08\x08\x3a\xff\xff\xff", "damaged or truncated"),
        (b"\x08\x08", "no graph"),
        (b"0" * 2_000_000, "limit is 1"),
    ],
)
def test_what_is_no_onnx_file_is_named(tmp_path, content, said):
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(ImportRefusedError, match=said):
        inspect(path, Request(NAMES, limits=SMALL))


@pytest.mark.parametrize("name", ["absent.onnx", "."])
def test_a_file_that_is_not_there_is_refused(tmp_path, name):
    with pytest.raises(ImportRefusedError):
        inspect(tmp_path / name, Request(NAMES))


def test_every_truncation_is_refused(tmp_path):
    data = model(logistic()).SerializeToString()
    path = tmp_path / "model.onnx"
    for length in range(len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises(ImportRefusedError):
            inspect(path, Request(NAMES, limits=SMALL))


@pytest.mark.parametrize("part", ["producer_name", "domain", "node", "output"])
def test_names_that_no_exporter_writes_are_refused(tmp_path, part):
    made, long = model(logistic()), "n" * 1_001
    if part == "node":
        made.graph.node[0].name = long
    elif part == "output":
        made.graph.node[0].output[0] = long
    else:
        setattr(made, part, long)
    path = tmp_path / "model.onnx"
    path.write_bytes(made.SerializeToString())
    with pytest.raises(ImportRefusedError, match="1,001 characters; 1,000 is the limit") as refused:
        inspect(path, Request(NAMES, limits=SMALL))
    assert len(str(refused.value)) < 400


# Signature.


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ([value("x", TensorProto.STRING, ["n", 3])], "type string"),
        ([value("x", TensorProto.BOOL, ["n", 3])], "type bool"),
        ([value("x", FLOAT, ["n", 3, 1])], "3 dimensions"),
        ([helper.make_tensor_sequence_value_info("x", FLOAT, ["n", 3])], "no tensor"),
    ],
)
def test_inputs_that_are_no_rows_of_numbers_are_refused(refusal, inputs, said):
    error = refusal(model(logistic(), inputs=inputs))
    assert error.place == "input 'x'"
    assert said in error.problem


def test_another_width_names_both(refusal):
    error = refusal(model(logistic()), features=("a", "b"))
    assert "3 columns" in error.problem
    assert "2: a, b" in error.problem


def test_a_feature_that_is_not_declared_is_named(refusal):
    assert "'d'" in refusal(model(logistic()), features=("a", "b", "d")).problem


def test_several_inputs_that_are_no_features_are_refused(refusal):
    inputs = [value(name, FLOAT, ["n", 1]) for name in ("a", "b", "other")]
    nodes = [node("Concat", ["a", "b", "other"], ["x"], axis=1), *logistic()]
    assert "'other'" in refusal(model(nodes, inputs=inputs)).problem


def test_names_in_the_metadata_choose_the_columns(check):
    made = model(logistic())
    helper.set_model_props(made, {"feature_names": "c,a,b"})
    assert check(made).features == ("c", "a", "b")


def test_whole_numbers_need_something_for_missing_values(refusal, check):
    nodes = [node("Cast", ["i"], ["x"], to=FLOAT), *logistic()]
    made = model(nodes, inputs=[value("i", INT64, ["n", 3])])
    assert "--impute" in refusal(made).fix
    assert check(made, fill=(0.0, 0.0, 0.0)).missing


@pytest.mark.parametrize("element", [TensorProto.DOUBLE, TensorProto.FLOAT16])
def test_doubles_and_halves_are_taken(check, element):
    nodes = [
        node("Cast", ["x"], ["f"], to=FLOAT),
        *logistic("f", "p"),
        node("Cast", ["p"], ["y"], to=element),
    ]
    made = model(
        nodes, inputs=[value("x", element, ["n", 3])], outputs=[value("y", element, ["n", 1])]
    )
    assert check(made).kind == "probability"


# Outputs.


def test_a_label_alone_is_no_score(refusal):
    nodes = [*logistic(y="p"), node("Cast", ["p"], ["y"], to=INT64)]
    error = refusal(model(nodes, outputs=[value("y", INT64, ["n", 1])]))
    assert "label" in error.problem


def test_two_outputs_are_listed_and_one_can_be_chosen(refusal, check):
    nodes = [*logistic(), node("Neg", ["z"], ["other"])]
    made = model(nodes, outputs=[value(name, FLOAT, ["n", 1]) for name in ("y", "other")])
    fix = refusal(made).fix
    assert "y float32(n, 1)" in fix
    assert "other float32(n, 1)" in fix
    assert "--score" in fix
    assert check(made, score="y").score == "y"
    assert check(made, score="other", kind="logit").kind == "logit"
    assert "no score in 'third'" in refusal(made, score="third").problem


def test_what_leaves_0_to_1_is_no_probability(refusal, check):
    made = model([node("MatMul", ["x", "w"], ["y"])])
    assert "--score-kind logit" in refusal(made).fix
    assert "0..1" in refusal(made, score="y", kind="probability").problem
    assert check(made, score="y", kind="logit").kind == "logit"


def test_two_logits_have_to_be_named(refusal, check):
    nodes = [node("MatMul", ["x", "w2"], ["y"])]
    weights = np.array([[0.1, 0.5], [0.2, 0.1], [0, 0.3]], np.float32)
    made = model(nodes, outputs=[value("y", FLOAT, ["n", 2])], constants={"w2": weights})
    assert "add up to 1" in refusal(made).problem
    assert check(made, score="y", kind="logit").kind == "logit"


def test_classes_that_are_not_0_and_1_have_to_be_named(refusal, check):
    classifier = node(
        "LinearClassifier",
        ["x"],
        ["label", "y"],
        domain="ai.onnx.ml",
        classlabels_strings=["odd", "plain"],
        coefficients=[-0.4, 0.3, 0.1, 0.4, -0.3, -0.1],
        intercepts=[0.0, 0.0],
        post_transform="SOFTMAX",
    )
    made = model([classifier], outputs=[value("y", FLOAT, ["n", 2])], opsets=ML)
    error = refusal(made)
    assert "odd, plain" in error.problem
    assert "--fraud-class" in error.fix
    assert "column 0" in dict(check(made, fraud_class="odd").checks)["score"]


def test_a_model_that_fails_at_a_new_category_is_refused(refusal):
    """Of 20,000 rows, so that no golden row is beyond; ``NaN`` would be, and is filled in."""
    nodes = [
        node("Gather", ["x", "zero"], ["column"], axis=1),
        node("Cast", ["column"], ["category"], to=INT64),
        node("Gather", ["embedding", "category"], ["vector"], axis=0),
        *logistic("x", "p"),
        node("Mul", ["p", "vector"], ["y"]),
    ]
    embedding = np.linspace(0, 1, 20_000, dtype=np.float32)
    constants = {"embedding": embedding, "zero": np.array([0])}
    found = refusal(model(nodes, constants=constants), fill=(0.0,) * 3)
    assert "out of data bounds" in found.problem
    assert "any number in any column" in found.fix


@pytest.mark.parametrize("kind", [None, "logit", "probability"])
def test_a_model_without_one_answer_is_refused(refusal, kind):
    made = model(logistic(), constants={"w": np.full((3, 1), np.nan, np.float32)})
    assert "not one golden row has a finite number" in refusal(made, score="y", kind=kind).problem


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": [0, 1e-60]}', "must be finite, and the scale not 0"),
        ('{"a": [1e39, 1]}', "must be finite, and the scale not 0"),
        ('{"a": [NaN, 1]}', "must be finite, and the scale not 0"),
        ('{"a": [1%s, 1]}' % ("0" * 400), "no scaling file"),
        ("[" * 100_000, "no scaling file"),
        ('{"d": [0, 1]}', "do not declare"),
    ],
)
def test_scaling_that_no_float32_holds_is_refused(tmp_path, text, said):
    path = tmp_path / "scale.json"
    path.write_text(text)
    with pytest.raises(ImportRefusedError, match=said) as refused:
        read_scaling(path, NAMES)
    assert refused.value.file == str(path)


def test_an_output_that_ignores_the_features_is_refused(refusal):
    nodes = [node("Mul", ["x", "nil"], ["m"]), *logistic("m")]
    made = model(nodes, constants={"nil": np.zeros(1, np.float32)})
    assert "does not depend on the features" in refusal(made).problem


def test_an_anomaly_output_that_is_not_there_is_refused(refusal):
    assert "'odd'" in refusal(model(logistic()), anomaly="odd").problem


# Batches.


def test_a_batch_that_cannot_be_freed_is_refused(refusal):
    nodes = [node("Reshape", ["x", "shape"], ["r"]), *logistic("r")]
    made = model(nodes, inputs=[value("x", FLOAT, [1, 3])], constants={"shape": np.array([1, 3])})
    error = refusal(made)
    assert "fixed at 1" in error.problem
    assert "dynamic" in error.fix


@pytest.mark.parametrize(
    "mixing",
    [
        [node("Softmax", ["z"], ["y"], axis=0)],
        [
            node("ReduceMax", ["z"], ["m"], axes=[0]),
            node("Sub", ["z", "m"], ["d"]),
            node("Sigmoid", ["d"], ["y"]),
        ],
        [node("ReduceMean", ["z"], ["y"], keepdims=1)],
    ],
    ids=["softmax over events", "relative to the batch", "one answer for all"],
)
def test_operators_that_mix_events_are_refused(refusal, mixing):
    error = refusal(model([node("MatMul", ["x", "w"], ["z"]), *mixing]))
    assert "depends on the others" in error.problem or "not a row each" in error.problem


# Operators.


@pytest.mark.parametrize(
    ("nodes", "said"),
    [
        ([node("RandomNormalLike", ["x"], ["r"]), *logistic("r")], "random"),
        ([node("Dropout", ["x", "half", "yes"], ["r"]), *logistic("r")], "training mode"),
        (
            [
                node("BatchNormalization", ["x", *["three"] * 4], ["r", "m", "v"], training_mode=1),
                *logistic("r"),
            ],
            "mixes events",
        ),
        ([node("FusedGelu", ["x"], ["r"], domain="com.microsoft"), *logistic("r")], "custom"),
        (
            [
                node(
                    "EPContext",
                    ["x"],
                    ["r"],
                    domain="com.microsoft",
                    ep_cache_context="/etc/passwd",
                ),
                *logistic("r"),
            ],
            "custom",
        ),
        ([node("Mine", ["x"], ["r"], domain="evil"), *logistic("r")], "custom"),
    ],
    ids=["random", "dropout", "batch norm", "contrib", "reads a file", "plugin"],
)
def test_operators_that_no_package_may_hold_are_refused(refusal, nodes, said):
    constants = {"half": np.float32(0.5), "yes": np.array(True), "three": np.ones(3, np.float32)}
    opsets = {"": 17, "com.microsoft": 1, "evil": 1}
    error = refusal(model(nodes, constants=constants, opsets=opsets))
    assert error.place.startswith("node 0")
    assert said in error.problem


def test_dropout_in_evaluation_mode_is_taken(check):
    nodes = [node("Dropout", ["x", "half", "no"], ["r"]), *logistic("r")]
    made = model(nodes, constants={"half": np.float32(0.5), "no": np.array(False)})
    assert check(made).kind == "probability"


@pytest.mark.parametrize(("opset", "said"), [(6, "opset 6"), (99, "opset 99")])
def test_opsets_that_nobody_reads_are_refused(refusal, opset, said):
    assert said in refusal(model(logistic(), opsets={"": opset})).problem


def test_an_old_opset_is_translated(check):
    nodes = [node("Clip", ["x"], ["r"], min=-5.0, max=5.0), *logistic("r")]
    assert check(model(nodes, opsets={"": 9})).opset == {"ai.onnx": 9}


def test_a_training_graph_is_refused(refusal):
    made = model(logistic())
    made.training_info.add()
    assert "training" in refusal(made).problem


# Loops, nesting, functions.


def loop(trips: str, body: list[onnx.NodeProto] | None = None, number: int = 0):
    """A loop that hands its value on."""
    inner = helper.make_graph(
        body or [node("Identity", [f"v{number}"], [f"o{number}"])],
        f"body{number}",
        [
            value(f"i{number}", INT64, []),
            value(f"c{number}", TensorProto.BOOL, []),
            value(f"v{number}", FLOAT, None),
        ],
        [value(f"c{number}", TensorProto.BOOL, []), value(f"o{number}", FLOAT, None)],
    )
    source = "x" if number == 0 else f"v{number - 1}"
    target = "r" if number == 0 else f"o{number - 1}"
    return node("Loop", [trips, "", source], [target], body=inner)


def test_loops_of_a_fixed_length_are_taken(check):
    made = model([loop("ten"), *logistic("r")], constants={"ten": np.array(10)})
    assert check(made).kind == "probability"


@pytest.mark.parametrize("trips", ["", "size"])
def test_loops_without_a_constant_bound_are_refused(refusal, trips):
    nodes = [node("Size", ["x"], ["size"]), loop(trips), *logistic("r")]
    assert "may never end" in refusal(model(nodes)).problem


def test_loops_in_loops_multiply(refusal):
    nested = loop("ten", [loop("eleven", number=1)])
    constants = {"ten": np.array(10), "eleven": np.array(11)}
    error = refusal(model([nested, *logistic("r")], constants=constants))
    assert "110 times" in error.problem


def test_scans_in_loops_are_refused(refusal):
    body = helper.make_graph(
        [node("Identity", ["s"], ["t"])],
        "scan",
        [value("s", FLOAT, None)],
        [value("t", FLOAT, None)],
    )
    scan = node("Scan", ["v0"], ["o0"], body=body, num_scan_inputs=1)
    made = model([loop("ten", [scan]), *logistic("r")], constants={"ten": np.array(10)})
    assert "a loop in a loop" in refusal(made).problem


def test_graphs_deep_in_one_another_are_refused(refusal):
    inner = loop("one", number=3)
    for number in (2, 1, 0):
        inner = loop("one", [inner], number)
    made = model([inner, *logistic("r")], constants={"one": np.array(1)})
    assert "nested more than 3 deep" in refusal(made).problem


def calls(name: str, called: list[str]) -> onnx.FunctionProto:
    """A function that calls others one after the other."""
    nodes = [node(other, [f"v{i}"], [f"v{i + 1}"], domain="mine") for i, other in enumerate(called)]
    return helper.make_function(
        "mine",
        name,
        ["v0"],
        [f"v{len(called)}"],
        nodes,
        [helper.make_opsetid("", 17), helper.make_opsetid("mine", 1)],
    )


def with_functions(*functions: onnx.FunctionProto) -> onnx.ModelProto:
    nodes = [node("f0", ["x"], ["r"], domain="mine"), *logistic("r")]
    return model(nodes, opsets={"": 17, "mine": 1}, functions=list(functions))


def test_functions_are_written_out(check):
    leaf = helper.make_function(
        "mine", "f0", ["v"], ["r"], [node("Neg", ["v"], ["r"])], [helper.make_opsetid("", 17)]
    )
    assert check(with_functions(leaf)).kind == "probability"


def test_functions_that_explode_are_refused_before_they_are_written_out(refusal):
    leaf = helper.make_function(
        "mine", "f40", ["v"], ["r"], [node("Neg", ["v"], ["r"])], [helper.make_opsetid("", 17)]
    )
    bomb = [calls(f"f{i}", [f"f{i + 1}"] * 2) for i in range(40)]
    assert "nodes, functions written out" in refusal(with_functions(*bomb, leaf)).problem


def test_functions_that_call_themselves_are_refused(refusal):
    made = with_functions(calls("f0", ["f1"]), calls("f1", ["f0"]))
    assert "calls itself" in refusal(made).problem


# Tensors.


def test_a_tensor_that_claims_more_than_it_holds_is_refused(refusal):
    made = model(logistic())
    made.graph.initializer[0].dims[0] = 10**12
    error = refusal(made)
    assert error.place == "initializer 'w'"
    assert "1000000000000x1" in error.problem


def test_a_sparse_bomb_is_refused(refusal):
    made = model(logistic())
    made.graph.sparse_initializer.append(
        helper.make_sparse_tensor(
            numpy_helper.from_array(np.ones(1, np.float32), "bomb"),
            numpy_helper.from_array(np.zeros(1, np.int64), "where"),
            [10**6, 10**6],
        )
    )
    assert "written out" in refusal(made).problem


def test_too_many_nodes_are_refused(refusal):
    chain = [node("Identity", ["x" if i == 0 else f"x{i}"], [f"x{i + 1}"]) for i in range(250)]
    assert "limit is 200" in refusal(model([*chain, *logistic("x250")])).problem


# Trees.


def test_a_sound_stump_is_taken(check):
    assert check(model([trees()], opsets=ML)).kind == "probability"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {
                "nodes_modes": ["BRANCH_LEQ", "BRANCH_LEQ", "LEAF"],
                "nodes_truenodeids": [1, 0, 0],
                "nodes_falsenodeids": [2, 2, 0],
            },
            "circle",
        ),
        ({"nodes_truenodeids": [0, 0, 0]}, "circle"),
        ({"nodes_truenodeids": [7, 0, 0]}, "not there"),
        ({"nodes_nodeids": [0, 1, 1]}, "same id"),
        ({"nodes_falsenodeids": [2, 0]}, "differ in length"),
        ({"nodes_featureids": [-1, 0, 0]}, "before the first"),
        ({"nodes_featureids": [3, 0, 0]}, "does not answer"),
    ],
    ids=["circle", "itself", "nowhere", "twice", "too few", "before", "beyond"],
)
def test_trees_whose_walks_do_not_end_are_refused(refusal, changes, said):
    assert said in refusal(model([trees(**changes)], opsets=ML)).problem
