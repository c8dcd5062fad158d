"""`weir bench engine`: what it prints for programs and for people."""

import json
from collections.abc import Callable

from front_door import Trained

from inference.engine.protocol import BATCH_BUCKETS

Run = Callable[..., tuple[int, str, str]]


def test_every_engine_and_its_peers_are_timed_at_every_batch_size(
    trained: Trained, run: Run
) -> None:
    options = ("-c", trained.folder / "weir.toml", "--model", "champion", "--seconds", "0.05")
    code, out, err = run("bench", "engine", *options, "--json")
    assert code == 0, err
    result = json.loads(out)
    assert set(result["timings"]) == {"weir cpu", "onnxruntime", "onnxruntime, its own threads"}
    for by_size in result["timings"].values():
        assert [int(size) for size in by_size] == list(BATCH_BUCKETS)
        for size, timing in by_size.items():
            assert 0 < timing["p50_us"] <= timing["p99_us"]
            assert timing["calls"] >= 60
            assert (
                abs(timing["rows_per_s"] - int(size) / timing["p50_us"] * 1e6)
                < 1 + 0.01 * (timing["rows_per_s"])
            )
    assert set(result["time_over_the_faster_peer"]) == {"weir cpu"}
    assert len(result["engines"]["weir cpu"]["routes"]) == len(BATCH_BUCKETS)


def test_a_model_that_is_not_there_is_named(trained: Trained, run: Run) -> None:
    code, _, err = run("bench", "engine", "-c", trained.folder / "weir.toml", "--model", "99")
    assert code == 1
    assert "no version 99" in err
