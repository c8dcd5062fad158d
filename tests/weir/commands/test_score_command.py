"""`weir score` as a process: what it serves, how it ends, and what it says then."""

import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

from confluent_kafka import Producer
from front_door import Trained
from running_scorer import Samples, Scorer, replay

from inference.evaluation.topic_reading import read_scores
from streams.dead_letters.letter import read_dead_letter
from streams.kafka.records.consuming import read_to_end
from weir.config.settings import load_settings

Config = Callable[..., Path]
Run = Callable[..., tuple[int, str, str]]
COUNT = 3_000


def test_metrics_are_served_while_events_are_scored(
    config: Config, trained: Trained, start: Callable[..., Scorer]
) -> None:
    path = config(loop={"group": f"group-{os.urandom(4).hex()}", "max_batch": 200})
    settings = load_settings(path)
    scorer = start(path)
    scorer.wait_for(lambda: scorer.metrics().get("weir_ready") == 1)
    assert scorer.readiness() == (200, "ready\n")
    producer = Producer(settings.kafka.producer_config())
    for partition in range(4):
        producer.produce(settings.topics.events, b"noise", b"k", partition, headers={"a": "b"})
    assert producer.flush(30) == 0
    replay(path, trained.events, COUNT)
    seen: list[Samples] = []

    def caught_up() -> bool:
        seen.append(scorer.metrics())
        return seen[-1]["weir_events_total"] == COUNT and seen[-1]["weir_lag_records"] == 0

    scorer.wait_for(caught_up)
    assert max(each["weir_lag_records"] for each in seen) > 0
    last = seen[-1]
    lanes = {
        f"weir_lag_records:{p}:{topic}"
        for p in range(4)
        for topic in (settings.topics.events, settings.topics.labels)
    }
    assert lanes <= set(last)
    assert last["weir_dead_letters_total:not_json"] == 4
    assert last["weir_decisions_total"] == COUNT
    assert last["weir_latency_seconds_count:end_to_end"] == COUNT
    assert last["weir_transactions_total:committed"] >= COUNT / 200
    assert last.get("weir_transactions_total:aborted", 0) == 0
    assert last["weir_labels_total"] > 0
    assert last["weir_entities:customer_id"] > 10

    assert scorer.end() == 0
    assert "the last transaction is committed" in scorer.lines[-1]
    assert "Traceback" not in scorer.log
    scores = read_scores(settings.kafka, settings.topics.scores)
    assert (len(scores.ids), scores.duplicates) == (COUNT, 0)
    letters = [
        read_dead_letter(message)
        for batch in read_to_end(settings.kafka, settings.topics.dead_letters)
        for message in batch
    ]
    assert sorted(letter.partition for letter in letters) == [0, 1, 2, 3]
    for letter in letters:
        assert (letter.value, letter.key, letter.reason) == (b"noise", b"k", "not_json")
        assert letter.topic == settings.topics.events
        assert letter.headers == [("a", b"b")]


def test_a_second_scorer_takes_over_and_the_first_says_so(
    config: Config, trained: Trained, start: Callable[..., Scorer]
) -> None:
    path = config()
    first = start(path)
    first.wait_for(lambda: first.metrics().get("weir_ready") == 1)
    second = start(path)
    assert first.process.wait(60) == 4
    assert "one scorer per group" in " ".join(first.log.split())
    assert "Traceback" not in first.log
    replay(path, trained.events, 200)
    second.wait_for(lambda: second.metrics()["weir_events_total"] == 200)
    assert second.end(signal.SIGINT) == 0


def test_a_port_that_is_taken_is_named(config: Config, run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        code, _, said = run("score", "-c", config(metrics={"port": port}))
    assert code == 1
    assert f"weir score can't answer on port {port}" in said
    assert "--metrics-port" in said
    assert "Traceback" not in said


def test_a_model_of_another_meaning_is_refused(config: Config, run: Run) -> None:
    path = config()
    path.write_text(path.read_text().replace('window = "1h"', 'window = "2h"'))
    code, _, said = run("score", "-c", path)
    message = " ".join(said.split())
    assert code == 1
    assert "when 'customer_count_1h' meant something else" in message
    assert "weir train" in message


def test_a_missing_feature_is_refused(config: Config, run: Run) -> None:
    path = config()
    text = path.read_text()
    path.write_text(text.replace('name = "customer_count_1h"', 'name = "customer_hourly"'))
    code, _, said = run("score", "-c", path)
    assert code == 1
    assert "that are not computed: customer_count_1h." in " ".join(said.split())


def test_an_alias_that_is_not_there_is_named(config: Config, run: Run) -> None:
    code, _, said = run("score", "-c", config(), "--model", "canary")
    assert code == 1
    assert "'canary'" in said
    assert "champion" in said
