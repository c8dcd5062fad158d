"""`weir demo --story`: a candidate in the shadow, as a canary, and as champion."""

import json
from pathlib import Path

import pytest
from front_door import weir


def test_a_story_plays_on_simulated_events_alone(tmp_path: Path) -> None:
    refused = weir("demo", "--story", "shadow", "--data", tmp_path / "events.parquet")
    assert refused.returncode == 2
    assert "leave --data out" in refused.stderr


@pytest.mark.exhaustive
def test_each_of_the_three_ends_as_it_has_to(tmp_path: Path) -> None:
    told = tmp_path / "told.json"
    done = weir(
        "demo", "--story", "shadow", "--dir", tmp_path / "story", "--json", told, timeout=900
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads(told.read_text())
    assert summary["met"]
    assert any("rolled back" in line for line in summary["lines"])
    assert "superiority passed" in summary["lines"][-1]
