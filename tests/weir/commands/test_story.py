"""`weir demo --story`: a candidate in the shadow, as a canary, and as champion."""

import json
import tomllib
from pathlib import Path

import pytest
import tomli_w
from front_door import weir

from weir.config.settings import EXAMPLE_FILE, load_settings
from weir.demo.story.simulated import without_features

HANDBOOK = Path(__file__).parents[3] / "examples" / "handbook" / "weir.toml"


@pytest.mark.parametrize("example", [EXAMPLE_FILE, HANDBOOK])
def test_what_knows_nothing_of_terminals_are_settings_that_hold(
    example: Path, tmp_path: Path
) -> None:
    """Rules that name what has gone have gone, too."""
    values = tomllib.loads(example.read_text(encoding="utf-8"))
    values.pop("reasons", None)
    path = tmp_path / "blind.toml"
    path.write_text(tomli_w.dumps(without_features(values, "terminal")), encoding="utf-8")
    whole, blind = load_settings(example), load_settings(path)
    assert 0 < len(blind.features) < len(whole.features)
    assert len(blind.labels.rules) < len(whole.labels.rules) or not whole.labels.rules


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
