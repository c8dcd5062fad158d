"""`weir explainer` as processes: what a killed one leaves behind, and what bad input does."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from threading import Event

from confluent_kafka import Producer
from front_door import Trained, weir
from group_lag import group_lag
from running_scorer import Scorer, replay

from explain.record.record import read
from explain.writing.flagged import read_flagged
from inference.evaluation.topic_reading import read_scores
from streams.dead_letters.letter import read_dead_letter
from streams.kafka.records.consuming import read_to_end
from weir.config.settings import Settings, load_settings
from weir.services.build_explainer import RecordWriters
from weir.services.wiring import open_registry

COUNT = 3_000
GARBAGE = [b"", b"noise", b"\xff" * 40]


def values(settings: Settings, topic: str) -> list[bytes]:
    return [
        message.value() or b"" for batch in read_to_end(settings.kafka, topic) for message in batch
    ]


def test_each_flagged_event_has_one_explanation_whoever_is_killed(
    config: Callable[..., Path], trained: Trained, start: Callable[..., Scorer], tmp_path: Path
) -> None:
    path = config(
        policy={"version": "wide", "review_alert_rate": 0.2, "decline_alert_rate": 0.01},
        explain={
            "group": f"explainer-{os.urandom(4).hex()}",
            "samples": 256,
            "transaction_timeout": "6s",
            "session_timeout": "6s",
        },
    )
    settings = load_settings(path)
    assert weir("topics", "-c", path).returncode == 0
    scorer = start(path)
    replay(path, trained.events, COUNT)
    scorer.wait_for(lambda: scorer.metrics()["weir_events_total"] == COUNT, 120)
    producer = Producer(settings.kafka.producer_config())
    for value in GARBAGE:
        producer.produce(settings.topics.feature_log, value, partition=2)
    assert producer.flush(30) == 0

    explanations = settings.topics.explanations
    first = start(path, command="explainer")
    first.wait_for(lambda: len(values(settings, explanations)) > 0, 120)
    first.process.send_signal(signal.SIGKILL)
    first.process.wait()
    others = [start(path, command="explainer") for _ in range(2)]
    answers = read_scores(settings.kafka, settings.topics.scores)
    flagged = {
        answers.ids[i]: decision
        for i, decision in enumerate(answers.decisions)
        if decision != "approve"
    }
    assert len(flagged) > 100
    others[0].wait_for(lambda: len(values(settings, explanations)) >= len(flagged), 120)
    # Who has read nothing yet, as the other was faster, shows none.
    others[0].wait_for(
        lambda: sum(each.metrics().get("weir_lag_records", 0) for each in others) == 0, 120
    )
    group, log = settings.explain.group, settings.topics.feature_log
    others[0].wait_for(
        lambda: set(group_lag(settings.kafka.bootstrap_servers, group, log).values()) == {0}, 60
    )
    for each in others:
        assert each.end() == 0, each.log
        assert "Traceback" not in each.log
    assert scorer.end() == 0

    written = values(settings, explanations)
    records = [read(value) for value in written]
    assert len({record.id for record in records}) == len(records)
    assert {record.event.id: record.decision.outcome for record in records} == flagged
    assert len(records) == len(flagged)
    assert sorted(written) == sorted(said_again(settings))
    check_fidelity(path, tmp_path)
    letters = [
        read_dead_letter(message)
        for batch in read_to_end(settings.kafka, settings.topics.dead_letters)
        for message in batch
    ]
    assert [(letter.topic, letter.partition) for letter in letters] == [
        (settings.topics.feature_log, 2)
    ] * len(GARBAGE)


def check_fidelity(path: Path, folder: Path) -> None:
    """What the night's job says of these explanations."""
    textfile = folder / "fidelity.prom"
    options = ("--events", "20", "--seeds", "2", "--textfile", textfile)
    done = weir("fidelity", "-c", path, *options, "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["events"], said["exact"]) == (20, True)
    assert said["spearman"] > 0
    assert said["deletion"] < said["deletion_random"]
    assert f'weir_fidelity_spearman{{model="{said["model"][:12]}"}}' in textfile.read_text()
    nothing = weir("fidelity", "-c", path, "--model", "nobody")
    assert nothing.returncode == 1
    assert "nobody" in nothing.stderr


def said_again(settings: Settings) -> list[bytes]:
    """The records, made in this process of the same feature log."""
    writers = RecordWriters(settings, open_registry(settings), Event())
    said = []
    for batch in read_to_end(settings.kafka, settings.topics.feature_log):
        for message in batch:
            if message.value() in GARBAGE:
                continue
            decisions = settings.explain.decisions
            events = read_flagged(message.value() or b"", message.partition() or 0, decisions)
            if len(events):
                said += [data for _, data in writers(events.model).write(events)]
    return said


def test_inline_the_scorer_says_why(
    config: Callable[..., Path], trained: Trained, start: Callable[..., Scorer]
) -> None:
    path = config(
        policy={"version": "wide", "review_alert_rate": 0.2},
        explain={"mode": "inline", "samples": 256, "budget": "10s"},
    )
    settings = load_settings(path)
    scorer = start(path)
    scorer.wait_for(lambda: scorer.metrics()["weir_ready"] == 1, 120)
    replay(path, trained.events, 1_500)
    scorer.wait_for(lambda: scorer.metrics()["weir_events_total"] == 1_500, 120)
    attached = scorer.metrics()["weir_inline_explanations_total:attached"]
    assert scorer.end() == 0, scorer.log
    scores = [json.loads(value) for value in values(settings, settings.topics.scores)]
    flagged = [score for score in scores if score["decision"] != "approve"]
    records = {
        read(value).id: json.loads(value)
        for value in values(settings, settings.topics.explanations)
    }
    assert 0 < len(flagged) == attached == len(records)
    for score in flagged:
        reasons = score["explanation"]["reasons"]
        assert reasons == records[score["explanation"]["id"]]["reasons"]
        assert all(reason["code"] for reason in reasons)
    assert not any("explanation" in score for score in scores if score["decision"] == "approve")
