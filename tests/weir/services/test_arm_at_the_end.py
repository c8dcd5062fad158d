"""A process ends well though an arm is still in a library's code."""

import subprocess
import sys

_PROCESS = """
import sys, time
from types import SimpleNamespace
import numpy as np
from onnx import TensorProto as T, helper as h
from inference.engine.onnx_session import load_session, run_session
from inference.routing.arm import Arm
from weir import main

def value(name, kind=T.FLOAT, shape=None):
    return h.make_tensor_value_info(name, kind, shape)

body = h.make_graph(
    [h.make_node("Identity", ["c"], ["more"]), h.make_node("Add", ["x", "x"], ["sum"])],
    "body",
    [value("i", T.INT64, []), value("c", T.BOOL, []), value("x")],
    [value("more", T.BOOL, []), value("sum")],
)
graph = h.make_graph(
    [
        h.make_node("Loop", ["count", "go_on", "features"], ["y"], body=body),
        h.make_node("ReduceMax", ["y"], ["score"], axes=[1], keepdims=0),
        h.make_node("Identity", ["score"], ["probability"]),
        h.make_node("Identity", ["score"], ["anomaly"]),
    ],
    "endless",
    [value("features", shape=["n", 2])],
    [value(name, shape=["n"]) for name in ("score", "probability", "anomaly")],
    [h.make_tensor("count", T.INT64, [], [10**12]), h.make_tensor("go_on", T.BOOL, [], [True])],
)
model = h.make_model(graph, opset_imports=[h.make_opsetid("", 13)], ir_version=8)
session = load_session(model.SerializeToString(), "endless")

def score(**_):
    serving = SimpleNamespace(model="m", infer=lambda rows: run_session(session, rows))
    arm = Arm("canary", serving, lambda: None)
    arm.ask(np.zeros((3, 2), np.float32))
    time.sleep(0.5)
    return 0

main.app = score
main.main()
"""


def test_it_ends_with_its_own_exit_code() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PROCESS], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
