"""The routes of the CPU's engine; what every engine does is in test_engine_conformance.py."""

import dataclasses
import logging
from time import sleep

import numpy as np
import onnx
from onnx import helper

from inference import cpu_engine
from inference.cpu_engine import COMPILED_TREES, WHOLE_GRAPH, CpuEngine
from inference.engine import BATCH_BUCKETS
from inference.onnxruntime_engine import OnnxRuntimeEngine


def test_each_batch_size_has_a_route_that_the_log_states(package, caplog):
    with CpuEngine(package) as engine, caplog.at_level(logging.INFO, "inference.cpu_engine"):
        assert engine.info.routes == (WHOLE_GRAPH,) * len(BATCH_BUCKETS)
        engine.warm_up()
        assert set(engine.info.routes) <= {WHOLE_GRAPH, COMPILED_TREES}
        assert f"{BATCH_BUCKETS[-1]}: {engine.info.routes[-1]}" in caplog.text
        assert package.short_id in caplog.text


def test_both_routes_give_the_same_bits(package, data):
    rows = np.concatenate([data.matrix, np.full((1, 6), np.nan, np.float32)])
    with CpuEngine(package) as engine, OnnxRuntimeEngine(package) as plain:
        engine.warm_up()
        for size in (1, 7, 64, 500, len(rows)):
            expected = plain.infer(rows[-size:])
            for name in (WHOLE_GRAPH, COMPILED_TREES):
                route = engine._routes[name]
                for values, right in zip(route(rows[-size:]), expected, strict=True):
                    np.testing.assert_array_equal(values, right)


def test_the_fastest_route_of_each_batch_size_is_taken(package):
    """One route slow for one row, the other for many."""
    engine = CpuEngine(package)
    one, other = engine._routes.values()
    pauses = {WHOLE_GRAPH: lambda n: 0.02 * (n > 100), COMPILED_TREES: lambda n: 0.02 * (n <= 100)}

    def paused(name, route):
        def answer(rows):
            sleep(pauses[name](len(rows)))
            return route(rows)

        return answer

    engine._routes = {
        WHOLE_GRAPH: paused(WHOLE_GRAPH, one),
        COMPILED_TREES: paused(COMPILED_TREES, other),
    }
    engine.warm_up()
    assert engine.info.routes == tuple(
        COMPILED_TREES if size > 100 else WHOLE_GRAPH for size in BATCH_BUCKETS
    )


def test_a_graph_without_trees_is_answered_whole_and_the_log_says_why(package, data, caplog):
    graph = onnx.load_from_string(package.tensors)
    with caplog.at_level(logging.INFO, "inference.cpu_engine"):
        engine = CpuEngine(dataclasses.replace(package, model=graph.SerializeToString()))
    assert "0 tree ensembles, not one" in caplog.text
    engine.warm_up()
    assert set(engine.info.routes) == {WHOLE_GRAPH}
    with OnnxRuntimeEngine(package) as plain:
        expected = plain.infer(data.matrix[:100]).score
    np.testing.assert_allclose(engine.infer(data.matrix[:100]).score, expected, atol=1e-6)


def test_trees_behind_a_scaling_are_answered_by_the_whole_graph(package, data, caplog):
    graph = onnx.load_from_string(package.model)
    cast = next(node for node in graph.graph.node if node.op_type == "Cast")
    graph.graph.node.insert(0, helper.make_node("Neg", ["features"], ["turned"]))
    cast.input[0] = "turned"
    with caplog.at_level(logging.INFO, "inference.cpu_engine"):
        engine = CpuEngine(dataclasses.replace(package, model=graph.SerializeToString()))
    assert "the trees read turned, which is computed from the features" in caplog.text
    engine.warm_up()
    assert set(engine.info.routes) == {WHOLE_GRAPH}


def test_a_route_that_answers_otherwise_is_not_taken(package, monkeypatch, caplog):
    monkeypatch.setattr(
        cpu_engine.CompiledForest, "__call__", lambda self, rows: np.full(len(rows), np.nan)
    )
    engine = CpuEngine(package)
    engine.warm_up()
    assert set(engine.info.routes) == {WHOLE_GRAPH}
    assert "compiled trees, then onnxruntime, which is off by nan" in caplog.text
