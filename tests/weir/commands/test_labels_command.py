"""`weir labels rules`, and training on young events by what rules say of them."""

import json
import tomllib
from pathlib import Path

import pytest

from tests.weir.archived_world import RULES, fill_archive
from tests.weir.front_door import write_events, write_settings
from weir.config.settings import load_settings


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rules")
    path = write_settings(
        folder / "weir.toml",
        labels={"field": "is_fraud", "delay": "7d", "rules": RULES},
        feature_log={"include": ["header:country"]},
    )
    verdicts = [(-1, 1, "ann"), (-2, 1, "ann"), (-2, 0, "bob"), (-3, 0, "bob"), (0, 1, "bob")]
    fill_archive(load_settings(path), write_events(folder / "events.parquet"), *verdicts)
    return path


def test_rules_are_checked_on_an_archive(config, run):
    code, out, err = run("labels", "rules", "check", "-c", config, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["events"] > 7_000
    assert 0.05 < found["fires"]["another country"] < 0.2
    assert found["problems"] == []
    code, out, _ = run("labels", "rules", "check", "-c", config)
    assert code == 0
    assert "are said to be both" in out


def test_a_file_has_no_headers_and_the_check_says_so(config, run):
    data = config.parent / "events.parquet"
    code, out, _ = run(
        "labels", "rules", "check", "-c", config, "--data", data, "--json", "--no-progress"
    )
    assert code == 1
    found = json.loads(out)
    assert found["abstains"]["another country"] > 0
    archived = json.loads(run("labels", "rules", "check", "-c", config, "--json")[1])
    for name in ("busy terminal", "routine"):
        assert found["fires"][name] == pytest.approx(archived["fires"][name])


def test_the_report_has_rates_beside_what_labels_said(config, run):
    code, out, err = run("labels", "rules", "report", "-c", config, "--json")
    assert (code, err) == (1, "")
    found = json.loads(out)
    assert found["frauds"] > 100
    assert found["unknown"] > 500
    (country,) = (each for each in found["rules"] if each["rule"] == "another country")
    assert country["true_positive"]["rate"] > 0.5
    assert country["estimated_true_positive"] == pytest.approx(
        country["true_positive"]["rate"], abs=0.05
    )
    assert country["false_positive"]["low"] < country["estimated_false_positive"]
    # In this world it finds none of the frauds of the last mature week.
    assert "busy terminal" in {each["rule"] for each in found["turned"]}
    code, out, _ = run("labels", "rules", "report", "-c", config)
    assert code == 1
    assert "rule 'busy terminal' has turned bad: it fires for 0.00% of the frauds" in out
    code, out, _ = run("labels", "rules", "report", "-c", config, "--recent", "30d", "--json")
    assert [each for each in json.loads(out)["turned"] if each["recent"] == 0] == []


def test_a_rule_that_is_none_is_named(config, run, tmp_path):
    values = tomllib.loads(config.read_text())
    values["labels"]["rules"] = [{"name": "typo", "when": ["amont > 2"]}]
    path = write_settings(tmp_path / "weir.toml", labels=values["labels"])
    code, _, err = run("labels", "rules", "check", "-c", path)
    assert code == 2
    assert "rule 'typo', 'amont > 2'" in err
    assert "did you mean 'amount'" in " ".join(err.split())
    code, _, err = run("labels", "rules", "check", "-c", write_settings(tmp_path / "weir.toml"))
    assert code == 2
    assert "there are no [[labels.rules]]" in err


def test_training_takes_young_events_and_can_be_repeated(config, run):
    plain = json.loads(run("train", "-c", config, "--json")[1])
    code, out, err = run("train", "-c", config, "--weak-labels", "--json")
    assert (code, err) == (0, "")
    weak = json.loads(out)
    assert weak["package_id"] != plain["package_id"]
    shown = json.loads(run("models", "show", str(weak["version"]), "-c", config, "--json")[1])
    data = shown["card"]["data"]
    said = data["version"]["weak"]
    assert said["events"] > 500
    assert 0 < said["frauds"] < said["events"] / 2
    assert [rule["name"] for rule in said["rules"]] == [rule["name"] for rule in RULES]
    # What is measured is of events with labels alone.
    assert weak["metrics"] == plain["metrics"]
    code, out, _ = run("train", "-c", config, "--reproduce", str(weak["version"]), "--json")
    assert (code, json.loads(out)["differences"]) == (0, [])
    code, _, err = run("train", "-c", config, "--data", "x.parquet", "--weak-labels")
    assert code == 2
    assert "--weak-labels are for an archive" in " ".join(err.split())


def test_verdicts_are_counted_where_they_differ(config, run):
    found = json.loads(run("labels", "rules", "report", "-c", config, "--json")[1])["analysts"]
    assert [each.pop("name") for each in found] == ["bob", "ann"]
    bob, ann = found
    # The first event was legitimate, as a label from elsewhere says.
    assert bob == {"verdicts": 3, "shared": 1, "differed": 1, "labelled": 1, "wrong": 1}
    assert ann == {"verdicts": 2, "shared": 1, "differed": 1, "labelled": 0, "wrong": 0}
    assert "analyst" in run("labels", "rules", "report", "-c", config)[1]


def test_review_shares_the_capacity_out(config, run):
    code, out, err = run("review", "next", "-c", config, "--capacity", "40", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    events = found["events"]
    risky = [each for each in events if each["why"] == "risk"]
    instructive = [each for each in events if each["why"] == "teaches"]
    assert (len(risky), len(instructive)) == (36, 4)
    assert {each["decision"] for each in risky} == {"review"}
    assert [each["probability"] for each in risky] == sorted(
        (each["probability"] for each in risky), reverse=True
    )
    assert len({each["event_id"] for each in events}) == 40
    again = json.loads(run("review", "next", "-c", config, "--capacity", "40", "--json")[1])
    assert again == found
    # Where analysts differ, nobody knows: of three events with verdicts, two are known.
    weak = json.loads(run("labels", "rules", "report", "-c", config, "--json")[1])
    assert found["unlabelled"] == weak["unknown"] - 2
    assert "young events without a label" in run("review", "next", "-c", config)[1]


def test_the_worth_is_measured_on_what_came_after(config, run):
    code, out, err = run("labels", "rules", "worth", "-c", config, "--test-span", "14d", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["young"] > 500
    assert found["tested"] > 1_000
    assert found["low"] < found["gain"] < found["high"]
    assert found["gain"] == pytest.approx(found["with_weak"] - found["without"])
    code, out, _ = run("labels", "rules", "worth", "-c", config, "--test-span", "14d")
    assert code == 0
    assert "weak labels gain" in out
    code, _, err = run("labels", "rules", "worth", "-c", config, "--test-span", "1ms")
    assert code == 1
    assert "too few to say what weak labels were worth" in " ".join(err.split())
