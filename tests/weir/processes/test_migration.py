"""Staged workers with other features follow on others: each event is answered once."""

import os
import signal
import tomllib
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import tomli_w
from front_door import Trained, weir
from running_scorer import Scorer, replay
from test_staged import feature_rows

from inference.evaluation.topic_reading import read_scores
from streams.events.json_decoder import Decoder
from streams.stages.worker.migration import FeaturesChangedError, Migration
from weir.config.settings import load_settings

MORE = {
    "name": "terminal_mean_1d",
    "kind": "window",
    "entity": "terminal_id",
    "aggregate": "mean",
    "field": "amount",
    "window": "1d",
}


def changed(config: Path, name: str, **sections: dict[str, Any]) -> Path:
    """The same settings, with one more feature, and what is given."""
    values = tomllib.loads(config.read_text(encoding="utf-8"))
    if MORE not in values["features"]:
        values["features"].append(MORE)
    for section, keys in sections.items():
        values[section] = values.get(section, {}) | keys
    path = config.with_name(f"{name}.toml")
    path.write_text(tomli_w.dumps(values), encoding="utf-8")
    return path


def claim(config: Path) -> None:
    """What a worker does first."""
    settings = load_settings(config)
    Migration(
        settings.kafka,
        loop=settings.loop,
        snapshots=settings.snapshots,
        plan=settings.staged_plan(),
        topics=settings.topics,
        stages=settings.stages,
        targets={},
        memory_ms=0,
        decoder=Decoder(settings.event),
    ).claim(Event())


@pytest.mark.exhaustive
def test_other_features_take_over_from_a_killed_worker(
    config: Callable[..., Path], trained: Trained, start: Callable[..., Scorer]
) -> None:
    run = os.urandom(4).hex()
    loop = {"session_timeout": "6s", "transaction_timeout": "8s", "max_batch": 100}
    former = config(
        loop=loop | {"group": f"staged-{run}", "topology": "staged"}, stages={"prefix": f"a-{run}"}
    )
    settings = load_settings(former)

    def answers() -> int:
        scores = read_scores(settings.kafka, settings.topics.scores)
        return len(scores.ids) + scores.duplicates

    first = start(former)
    first.wait_for(lambda: first.metrics()["weir_ready"] == 1)
    replay(former, trained.events, 600)
    first.wait_for(lambda: answers() == 600)

    refused = weir("score", "-c", changed(former, "mixed"))
    assert refused.returncode == 2
    assert "made for other features (what differs: those over 'terminal_id')" in refused.stderr
    assert "set a new stages.prefix" in refused.stderr

    later = changed(former, "later", stages={"prefix": f"b-{run}"})
    second = start(later)
    second.wait_for(lambda: "waiting for the group's former workers" in second.log)
    replay(former, trained.events, 1_500)  # the first 600 again: they are events as any other
    first.wait_for(lambda: answers() > 600)
    first.process.send_signal(signal.SIGKILL)  # in the midst of them
    first.process.wait()
    second.wait_for(lambda: answers() == 2_100, 120)
    assert "the group moved to stages.prefix" in second.log

    with pytest.raises(FeaturesChangedError, match="are not new, and the group went on with"):
        claim(former)
    with pytest.raises(FeaturesChangedError, match=f"and group 'other-{run}' has made none"):
        claim(changed(later, "group", loop={"group": f"other-{run}"}))
    assert second.end() == 0
    assert "Traceback" not in first.log + second.log
    width = len(load_settings(later).features)
    anew = [row for row in feature_rows(later).values() if len(row["features"]) == width]
    assert 0 < len(anew) < 1_500
