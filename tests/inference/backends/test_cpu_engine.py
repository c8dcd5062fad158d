"""The routes of the CPU's engine; what every engine does is in test_engine_conformance.py."""

import dataclasses
import logging
from concurrent.futures import ThreadPoolExecutor
from time import sleep

import numpy as np
import onnx
import pytest
from onnx import helper

from inference.backends import cpu as cpu_engine
from inference.backends.cpu import COMPILED_TREES, WHOLE_GRAPH, CpuEngine
from inference.engine.onnx_session import BoundSession, load_session, run_session
from inference.engine.protocol import BATCH_BUCKETS


def test_each_batch_size_has_a_route_that_the_log_states(package, caplog):
    with CpuEngine(package) as engine, caplog.at_level(logging.INFO, "inference.backends.cpu"):
        assert engine.info.routes == (WHOLE_GRAPH,) * len(BATCH_BUCKETS)
        engine.warm_up()
        assert set(engine.info.routes) <= {WHOLE_GRAPH, COMPILED_TREES}
        assert f"{BATCH_BUCKETS[-1]}: {engine.info.routes[-1]}" in caplog.text
        assert package.short_id in caplog.text


def test_both_routes_give_the_same_bits(package, data):
    rows = np.concatenate([data.matrix, np.full((1, 6), np.nan, np.float32)])
    plain = load_session(package.model, "plain")
    with CpuEngine(package) as engine:
        engine.warm_up()
        for size in (1, 7, 64, 500, len(rows)):
            expected = run_session(plain, rows[-size:])
            for name in (WHOLE_GRAPH, COMPILED_TREES):
                route = engine._routes[name]
                for values, right in zip(route(rows[-size:]), expected, strict=True):
                    np.testing.assert_array_equal(values, right)


def test_the_fastest_route_of_each_batch_size_is_taken(package):
    """One route is dear by the call, the other by the row."""
    engine = CpuEngine(package)
    asked = {name: [] for name in engine._routes}
    pauses = {WHOLE_GRAPH: lambda n: 2e-4 * n, COMPILED_TREES: lambda n: 0.02}

    def paused(name, route):
        def answer(rows):
            asked[name].append(len(rows))
            sleep(pauses[name](len(rows)))
            return route(rows)

        return answer

    engine._routes = {name: paused(name, route) for name, route in engine._routes.items()}
    engine.warm_up()
    assert engine.info.routes == tuple(
        COMPILED_TREES if size > 100 else WHOLE_GRAPH for size in BATCH_BUCKETS
    )
    # The time grows with the rows by then: nobody waits for the slow route's 800 ms.
    assert BATCH_BUCKETS[-1] not in asked[WHOLE_GRAPH]


def test_a_graph_without_trees_is_answered_whole_and_the_log_says_why(package, data, caplog):
    graph = onnx.load_from_string(package.tensors)
    with caplog.at_level(logging.INFO, "inference.backends.cpu"):
        engine = CpuEngine(dataclasses.replace(package, model=graph.SerializeToString()))
    assert "0 tree ensembles, not one" in caplog.text
    engine.warm_up()
    assert set(engine.info.routes) == {WHOLE_GRAPH}
    expected = run_session(load_session(package.model, "plain"), data.matrix[:100]).score
    np.testing.assert_allclose(engine.infer(data.matrix[:100]).score, expected, atol=1e-6)


def test_trees_behind_a_scaling_are_answered_by_the_whole_graph(package, data, caplog):
    graph = onnx.load_from_string(package.model)
    cast = next(node for node in graph.graph.node if node.op_type == "Cast")
    graph.graph.node.insert(0, helper.make_node("Neg", ["features"], ["turned"]))
    cast.input[0] = "turned"
    with caplog.at_level(logging.INFO, "inference.backends.cpu"):
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
    differ = "whose scores differ from the whole graph's by up to nan"
    assert f"not using compiled trees, then onnxruntime, {differ}" in caplog.text


def test_memory_that_is_used_again_leaves_earlier_answers_as_they_were(package, data):
    """Answers are looked at after the next call has gone through the same binding."""
    bound = BoundSession(load_session(package.model, "bound"), "features")
    plain = load_session(package.model, "plain")
    for size in (1, 2, 8, 32, 33):
        batches = np.array_split(data.matrix[: 5 * size], 5)
        answers = [bound(batch) for batch in batches]
        for batch, outputs in zip(batches, answers, strict=True):
            for values, right in zip(outputs, run_session(plain, batch), strict=True):
                np.testing.assert_array_equal(values, right)


def test_threads_share_no_memory_of_a_bound_session(package, data):
    bound = BoundSession(load_session(package.model, "bound"), "features")
    expected = bound(data.matrix).score
    with ThreadPoolExecutor(4) as threads:
        scores = threads.map(lambda i: bound(data.matrix[i : i + 1]).score[0], range(2_000))
        np.testing.assert_array_equal(list(scores), expected[:2_000])


def test_a_call_that_fails_leaves_the_bound_session_usable(package, data):
    bound = BoundSession(load_session(package.model, "bound"), "features")
    with pytest.raises(Exception, match="Got: 5 Expected: 6"):
        bound(data.matrix[:3, :5])
    np.testing.assert_array_equal(bound(data.matrix[:3]).score, bound(data.matrix[:40]).score[:3])
