"""Headers of the events' records in the feature log, through real scorers of both topologies."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import Producer
from front_door import Trained, weir
from running_scorer import Scorer, answered, begun_anew

from streams.events.json_encoder import EventEncoder
from streams.feature_log import read_feature_log
from streams.files.event_file import open_events
from streams.kafka.records.consuming import read_to_end
from weir.config.settings import Settings, load_settings

VERSION, AGENT = "header:app-version", "header:user agent.v"
KINDS: list[tuple[list[tuple[str, bytes | None]], str | None, str | None]] = [
    ([("app-version", b"4.1"), ("user agent.v", "Größe".encode())], "4.1", "Größe"),
    ([("app-version", b"4.1"), ("other", b"x"), ("app-version", b"4.2")], "4.2", None),
    ([("App-Version", b"4.1"), ("user agent.v", b"a\xffb")], None, "a\ufffdb"),
    ([("app-version", None), ("user agent.v", b"")], None, ""),
    ([("app-version", "å".encode() * 3_000), ("user agent.v", b"u")], "å" * 256, "u"),
    ([], None, None),
]
"""Headers of a record, and what is to stand in the feature log."""
COUNT = 300


def send(settings: Settings, events: Path) -> dict[int, tuple[str | None, str | None]]:
    """Send events with headers of all kinds; what is to be found of each, by its id."""
    file = open_events(events, settings.event, settings.labels.field)
    batch = file.batch(0, COUNT)
    producer = Producer(settings.kafka.producer_config())
    expected = {}
    for i, (event, value) in enumerate(
        zip(batch.ids, EventEncoder(settings.event).encode(batch), strict=True)
    ):
        headers, version, agent = KINDS[i % len(KINDS)]
        # A field of the record that is named as the header is written is no header.
        body = json.dumps(json.loads(value) | {VERSION: "forged"}).encode()
        producer.produce(settings.topics.events, body, b"%d" % (i % 7), headers=headers)
        expected[event] = (version, agent)
    assert producer.flush(60) == 0
    return expected


def found(settings: Settings) -> dict[int, tuple[str | None, str | None]]:
    contexts = {
        row["event_id"]: row["context"]
        for batch in read_to_end(settings.kafka, settings.topics.feature_log)
        for message in batch
        for row in read_feature_log(message.value() or b"").to_pylist()
    }
    assert all(context["amount"] > 0 for context in contexts.values())
    assert all(list(context) == [VERSION, "amount", AGENT] for context in contexts.values())
    return {event: (context[VERSION], context[AGENT]) for event, context in contexts.items()}


@pytest.mark.exhaustive
def test_headers_of_an_event_s_record_stand_in_the_feature_log_in_both_topologies(
    config: Callable[..., Path], trained: Trained, start: Callable[..., Scorer]
) -> None:
    staged = config(
        loop={
            "group": f"headers-{os.urandom(4).hex()}",
            "topology": "staged",
            "session_timeout": "6s",
        },
        stages={"prefix": f"headers-{os.urandom(4).hex()}"},
        feature_log={"include": [VERSION, "amount", AGENT]},
        alignment={"max_idle": "1s"},
    )
    settings = load_settings(staged)
    assert weir("topics", "-c", staged).returncode == 0
    expected = send(settings, trained.events)
    for path in (staged, begun_anew(staged, "fused")):
        scorer = start(path)
        scorer.wait_for(lambda: answered(scorer) == COUNT, 120)  # noqa: B023
        assert scorer.end() == 0, scorer.log
        assert found(load_settings(path)) == expected
