"""`weir erase`: scorers forget somebody's windows, and one that begins anew forgets the same."""

import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from front_door import Trained, weir
from running_scorer import Scorer, answered, begun_anew, replay

from streams.feature_log import read_feature_log
from streams.files.event_file import open_events
from streams.kafka.records.consuming import read_to_end
from weir.config.settings import Settings, load_settings

COUNT = 1_200
HALF = COUNT // 2


def rows_of(settings: Settings) -> dict[int, dict[str, Any]]:
    """The feature log, by the events' ids."""
    return {
        row["event_id"]: row
        for batch in read_to_end(settings.kafka, settings.topics.feature_log)
        for message in batch
        for row in read_feature_log(message.value() or b"").to_pylist()
    }


@pytest.mark.exhaustive  # the state's own tests show it, too
@pytest.mark.parametrize("topology", ["fused", "staged"])
def test_windows_are_forgotten_and_a_state_that_is_rebuilt_forgets_the_same(
    config: Callable[..., Path], trained: Trained, start: Callable[..., Scorer], topology: str
) -> None:
    name = f"erased-{os.urandom(4).hex()}"
    path = config(
        loop={"group": name, "topology": topology, "session_timeout": "6s"},
        stages={"prefix": name},
        snapshots={"every": "1s"},
    )
    settings = load_settings(path)
    assert weir("topics", "-c", path).returncode == 0
    times = open_events(trained.events, settings.event, settings.labels.field).times
    first, half, end = (int(times[at]) for at in (0, HALF, COUNT))
    replay(path, trained.events, start_ms=first, stop_ms=half)
    scorer = start(path)
    scorer.wait_for(lambda: answered(scorer) > 0.9 * HALF, 120)
    keys = Counter(row["key"] for row in rows_of(settings).values())
    somebody = keys.most_common(1)[0][0]

    asked = json.loads(weir("erase", somebody, "-c", path, "--json").stdout)
    assert asked["windows"] == {"known": True, "count_from": None}
    assert scorer.metrics()["weir_erasures_total"] == 0
    done = weir("erase", somebody, "--yes", "--by", "ada", "-c", path)
    assert done.returncode == 0, done.stderr
    assert "forgotten; its events count again from" in done.stdout
    scorer.wait_for(lambda: scorer.metrics().get("weir_erasures_total:in_force") == 1, 30)
    assert somebody not in [word for line in scorer.lines for word in line.split()]

    before = set(rows_of(settings))
    replay(path, trained.events, start_ms=half, stop_ms=end)
    scorer.wait_for(lambda: answered(scorer) > 0.95 * COUNT, 120)
    assert scorer.end() == 0, scorer.log
    after = {id_: row for id_, row in rows_of(settings).items() if id_ not in before}

    names = settings.plan().names
    windows = [
        names.index(each.name)
        for each in settings.features
        if each.kind == "window" and each.entity == settings.event.key and each.aggregate == "count"
    ]
    ours = [row["features"] for row in after.values() if row["key"] == somebody]
    assert ours
    assert not np.array(ours)[:, windows].any(), "events of before count as those of nobody"

    scorer = start(again := begun_anew(path, "again"))
    scorer.wait_for(lambda: answered(scorer) > 0.95 * COUNT, 120)
    assert scorer.end() == 0, scorer.log
    anew = rows_of(load_settings(again))
    compared = after.keys() & anew.keys()
    assert len(compared) > 0.8 * HALF
    for id_ in compared:
        np.testing.assert_array_equal(after[id_]["features"], anew[id_]["features"], str(id_))
