"""Erasing somebody, on the real broker."""

import json
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import Message, Producer
from front_door import write_settings

from explain.writing.key_ring import KeyRing
from streams.dead_letters.letter import dead_letter
from streams.events.rejection import Reason, Rejected
from streams.kafka.topics.weir_topics import ROLES
from weir.config.settings import Settings, load_settings

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def settings(kafka: str, tmp_path: Path, run: Run) -> Settings:
    name = uuid.uuid4().hex[:8]
    config = write_settings(
        tmp_path / "weir.toml",
        kafka={"bootstrap_servers": kafka},
        topics={role: f"{role}-{name}" for role in ROLES} | {"retention": "45d"},
        explain={"key_ring": str(tmp_path / "ring")},
    )
    assert run("topics", "-c", config)[0] == 0
    settings = load_settings(config)
    with KeyRing.make(tmp_path / "ring") as ring:
        ring.token("customer_id", 373)
    producer = Producer({"bootstrap.servers": kafka})
    values = (b'{"customer_id": 373}', b'{"customer_id": 373, ', b'{"customer_id": 4}', b"\xff\xfe")
    for offset, value in enumerate(values):
        rejected = Rejected(0, Reason.NOT_JSON, None, "no JSON")
        place = {"topic": "events", "partition": 0, "offset": offset, "timestamp": (1, 1_000)}
        record = Message(key=b"other", value=value, **place)
        letter = dead_letter(record, rejected, 1_000, 10_000)
        producer.produce(settings.topics.dead_letters, letter.value, headers=letter.headers)
    assert producer.flush(60) == 0
    return settings


def test_what_can_go_goes_and_what_stays_is_said_with_its_end(
    settings: Settings, tmp_path: Path, run: Run
) -> None:
    config = tmp_path / "weir.toml"
    code, out, err = run("erase", "373", "-c", config)
    assert code == 0, err
    assert "2 would be taken out" in out
    assert "windows of this customer_id: would be forgotten" in out
    with KeyRing(tmp_path / "ring") as ring:
        assert ring.known("customer_id", 373) is not None, "nothing is done without --yes"

    told = json.loads(run("erase", "373", "--yes", "--json", "-c", config)[1])
    assert (told["erased"], told["dead_letters"]) == (True, 2)
    with KeyRing(tmp_path / "ring") as ring:
        assert ring.known("customer_id", 373) is None
    left = {each["where"]: each for each in told["remaining"]}
    assert "retention 45d" in left[settings.topics.events]["ends"]
    assert "1 letters" in left[settings.topics.dead_letters]["holds"]
    listed = json.loads(run("dead-letters", "list", "--json", "-c", config)[1])
    assert listed["letters"] == 2
    again = json.loads(run("erase", "373", "--yes", "--json", "-c", config)[1])
    assert (again["dead_letters"], again["token"]) == (0, "there is none")


def test_an_identifier_that_is_none_is_told(settings: Settings, tmp_path: Path, run: Run) -> None:
    code, _, err = run("erase", "ada", "-c", tmp_path / "weir.toml")
    assert code == 2
    assert "customer_id is an int field" in err
