"""A producer that sends its events twice: with event.deduplicate each has one answer."""

import os
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from front_door import Trained, weir
from running_scorer import Scorer, replay

from inference.evaluation.topic_reading import read_scores
from streams.kafka.records.consuming import read_to_end
from weir.config.settings import EXAMPLE_FILE, Settings, load_settings

COUNT = 600


@pytest.mark.exhaustive  # the loops' own tests show it, too
@pytest.mark.parametrize("topology", ["fused", "staged"])
def test_each_id_has_one_answer_whenever_it_comes_again(
    config: Callable[..., Path], trained: Trained, start: Callable[..., Scorer], topology: str
) -> None:
    name = f"repeats-{os.urandom(4).hex()}"
    path = config(
        event=tomllib.loads(EXAMPLE_FILE.read_text())["event"] | {"deduplicate": "30d"},
        loop={"group": name, "topology": topology, "session_timeout": "6s"},
        stages={"prefix": name},
        snapshots={"every": "1s"},
    )
    settings = load_settings(path)
    assert weir("topics", "-c", path).returncode == 0

    def wait_for(scorer: Scorer, answered: int, left_out: int) -> None:
        wanted = {"weir_events_total": answered, "weir_duplicate_events_total": left_out}
        scorer.wait_for(lambda: scorer.metrics().items() >= wanted.items(), 120)

    replay(path, trained.events, COUNT)
    scorer = start(path)
    wait_for(scorer, COUNT, 0)
    replay(path, trained.events, COUNT)
    wait_for(scorer, COUNT, COUNT)
    scorer.wait_for(lambda: scorer.metrics()["weir_lag_records"] == 0)
    scorer.wait_for(lambda: len(manifests(settings)) >= (4 if topology == "staged" else 1))
    assert scorer.end() == 0, scorer.log

    replay(path, trained.events, COUNT + 100)
    scorer = start(path)
    wait_for(scorer, 100, COUNT)
    assert scorer.end() == 0, scorer.log
    assert "from a snapshot" in scorer.log

    scores = read_scores(settings.kafka, settings.topics.scores)
    assert (len(scores.ids), scores.duplicates) == (COUNT + 100, 0)


def manifests(settings: Settings) -> set[bytes]:
    """Whole snapshots of events partitions, or of all of a fused scorer's."""
    topic = settings.topics.events.encode()
    keys = {
        message.key() or b""
        for batch in read_to_end(settings.kafka, settings.topics.snapshots)
        for message in batch
    }
    staged = settings.loop.topology == "staged"
    return {key for key in keys if key.endswith(b"manifest") and (topic in key or not staged)}
