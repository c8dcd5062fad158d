"""`weir shadow`: candidates on the stream of a real scorer, each event scored once."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from front_door import Trained
from front_door import weir_here as weir
from group_lag import group_lag
from running_scorer import Scorer, replay

from streams.kafka.records.consuming import read_to_end
from weir.config.settings import Settings, load_settings

COUNT = 2_000


def shadow_scores(settings: Settings) -> list[dict[str, Any]]:
    return [
        json.loads(message.value() or b"")
        | {"place": (message.partition(), message.key().decode())}
        for batch in read_to_end(settings.kafka, settings.topics.shadow_scores)
        for message in batch
    ]


def answering(shadow: Scorer, *names: str) -> bool:
    metrics = shadow.metrics()
    return all(metrics.get(f"weir_shadow_candidate_answering:{name}") == 1 for name in names)


@pytest.mark.parametrize("how", [signal.SIGKILL])
def test_the_champion_as_its_own_candidate_says_the_same_of_each_event_once(
    config: Callable[..., Path], trained: Trained, start: Callable[..., Scorer], how: signal.Signals
) -> None:
    path = config(
        shadow={
            "group": f"shadow-{os.urandom(4).hex()}",
            "session_timeout": "6s",
            "niceness": 1,  # other tests want the processors all the time
        },
        feature_log={"include": ["amount"]},
        alignment={"max_idle": "2s"},
        policy={
            "review_alert_rate": 0.2,
            "decline_alert_rate": 0.1,
            "costs": {"cap": 500, "friction": 20, "review": 5},
        },
        approve_through={"bands": [{"share": 0.4}], "daily_budget": 4_000, "salt": "s" * 16},
        comparison={"slice_by": ["amount"]},
    )
    settings = load_settings(path)
    assert weir("topics", "-c", path).returncode == 0
    added = weir("shadow", "add", "champion", "--name", "same", "--by", "ada", "-c", path)
    assert added.returncode == 0, added.stderr
    shown = json.loads(weir("shadow", "status", "--json", "-c", path).stdout)
    assert (list(shown), shown["same"]["by"]) == (["same"], "ada")

    assert weir("shadow", "add", "champion", "--name", "other", "-c", path).returncode == 0

    scorer, shadow = start(path), start(path, command="shadow")
    shadow.wait_for(lambda: answering(shadow, "same", "other"), 300)
    here, itself = psutil.Process().nice(), psutil.Process(shadow.process.pid)
    assert here < itself.nice() <= min(each.nice() for each in itself.children()), "all stand back"
    replay(path, trained.events, COUNT)
    shadow.wait_for(lambda: len(shadow_scores(settings)) > COUNT // 4, 300)
    shadow.process.send_signal(how)
    shadow.process.wait()
    shadow = start(path, command="shadow")
    scorer.wait_for(lambda: scorer.metrics()["weir_events_total"] == COUNT, 300)
    shadow.wait_for(lambda: len(shadow_scores(settings)) >= COUNT, 300)

    scores = shadow_scores(settings)
    assert len({each["event_id"] for each in scores}) == len(scores) == COUNT
    assert {each["decision"] for each in scores if "approve_through" in each} == {
        "approve",
        "decline",
    }
    assert all(each["context"]["amount"] > 0 for each in scores)
    asked = [each for each in scores if "same" in each["candidates"]]
    assert len(asked) > COUNT // 4
    for each in asked:
        same = each["candidates"]["same"]
        assert same["model"] == each["model"]
        let_through = each.get("approve_through") and each["decision"] == "approve"
        assert same["decision"] == ("decline" if let_through else each["decision"])
        for name in ("score", "probability"):
            assert np.float32(same[name]) == np.float32(each[name])

    group, topic = f"{settings.shadow.group}-join", settings.topics.shadow_scores
    shadow.wait_for(
        lambda: set(group_lag(settings.kafka.bootstrap_servers, group, topic).values()) == {0}, 300
    )
    mature = "weir_shadow_mature_events:same"
    # How many, depends on what was shed while the shadow was away.
    shadow.wait_for(lambda: shadow.metrics().get(mature, 0) > 0, 300)
    told = json.loads(weir("shadow", "compare", "same", "--json", "-c", path).stdout)
    assert sum(each["events"] for each in told["slices"]["amount"]) <= len(asked)
    by_hour = weir("shadow", "compare", "same", "--slices", "hour", "-c", path)
    assert by_hour.returncode == 2
    assert "name it in comparison.slice_by" in by_hour.stderr
    assert told["events"] == len(asked), told["left_out"]
    assert 0 < told["mature"] < len(asked)
    assert (told["cost"]["log_better"], told["cost"]["log_worse"]) == (0.0, 0.0)
    assert told["flips"]["review"] == {"champion_only": 0, "candidate_only": 0}
    both = json.loads(weir("shadow", "compare", "same", "other", "--json", "-c", path).stdout)
    assert both["champion"] == both["candidate"] == told["champion"]
    assert both["events"] + both["left_out"]["declined"] >= 100
    assert both["flips"]["decline"] == {"champion_only": 0, "candidate_only": 0}
    assert (both["cost"]["log_better"], both["cost"]["log_worse"]) == (0.0, 0.0)
    shown = weir("shadow", "compare", "same", "--slices", "amount", "-c", path).stdout
    assert "verdict: inconclusive: that is no pass" in shown

    replayed = ("shadow", "replay", "champion", "--json", "-c", path)
    past = json.loads(weir(*replayed, "--slices", "amount").stdout)
    assert past["events"] == COUNT
    assert past["mature"] >= told["mature"]
    assert past["slices"]["amount"][0]["value"] == "(other values)"
    off_diagonal = [
        count
        for first, row in past["decisions"].items()
        for second, count in row.items()
        if first != second
    ]
    assert sum(off_diagonal) == 0, "the same model says the same of the same vectors"
    policy = path.with_name("policy.toml")
    policy.write_text('[policy]\nversion = "strict"\nreview_alert_rate = 0.4\n', encoding="utf-8")
    strict = json.loads(
        weir("shadow", "replay", "champion", "--policy", policy, "--json", "-c", path).stdout
    )
    assert strict["policy"] == "strict"
    assert strict["flips"]["review"]["candidate_only"] > 0
    policy.write_text("[policy]\nreview_alert_rate = 0\ndecline_alert_rate = 0\n", encoding="utf-8")
    lenient = json.loads(
        weir("shadow", "replay", "champion", "--policy", policy, "--json", "-c", path).stdout
    )
    censored = lenient["cost"]["censored"]
    assert lenient["decisions"]["decline"]["decline"] == 0
    assert censored["events"] > censored["let_through"] > 0
    nothing = weir("shadow", "replay", "champion", "--to", "2001-01-01", "-c", path)
    assert nothing.returncode == 1
    assert "nothing of that time stands on" in nothing.stderr

    for name in ("same", "other"):
        removed = weir("shadow", "remove", name, "--by", "ada", "-c", path)
        assert removed.returncode == 0, removed.stderr
    shadow.wait_for(lambda: not any("candidate_answering" in name for name in shadow.metrics()), 30)
    again = weir("shadow", "remove", "same", "--by", "ada", "-c", path)
    assert again.returncode == 2
    assert "there is no candidate 'same'" in again.stderr
    for process in (shadow, scorer):
        assert process.end() == 0, process.log
        assert "Traceback" not in process.log
