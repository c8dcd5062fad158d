"""Erasing somebody, on the real broker."""

import json
import sqlite3
import uuid
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import Message, Producer
from front_door import write_settings

from explain.store.appending import Appender
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
        ring.subject("customer_id", 373)
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


def record(number: int, token: str) -> bytes:
    return msgspec.json.encode(
        {
            "schema": "weir.explanation/1",
            "id": f"{number:032x}",
            "event": {"id": number, "key": token, "time": 1_700_000_000_000 + number},
            "decision": {"outcome": "review"},
            "model": {"package": "ab" * 32},
        },
        order="sorted",
    )


@pytest.fixture
def stored(settings: Settings, tmp_path: Path) -> Settings:
    """A store besides, with two records of somebody whom no other thing tells of, and one other."""
    with KeyRing(tmp_path / "ring") as ring:
        tokens = [ring.subject("customer_id", number).token for number in (374, 374, 4)]
    with settings.store.open_database(settings.data_dir) as database:
        signer = settings.store.open_signer(settings.data_dir)
        appender = Appender(database, signer, anchor_every=1, anchor_after_ms=0)
        appender.append([record(number, token) for number, token in enumerate(tokens, 1)])
    return settings


def test_the_records_of_the_store_go_before_the_token_that_finds_them(
    stored: Settings, tmp_path: Path, run: Run
) -> None:
    config = ("-c", tmp_path / "weir.toml")
    assert "in the store: 2 would be emptied; --yes does it" in run("erase", "374", *config)[1]
    assert run("audit", "hold", "add", "--event", 2, *config)[0] == 0

    code, out, err = run("erase", "374", "--yes", "--by", "ada", *config)
    assert code == 0, err
    assert "in the store: 1 emptied; 1 kept, under hold 1" in out
    assert "its token: stays" in out
    with KeyRing(tmp_path / "ring") as ring:
        token = ring.known("customer_id", 374)
    assert token is not None, "what is held has to be found again"
    run("audit", "hold", "release", 1, *config)
    told = json.loads(run("erase", "374", "--yes", "--json", "--by", "ada", *config)[1])
    assert told["records"] == {"records": 1, "held": 0, "held_by": []}
    assert told["token"].startswith("can't be linked")
    with KeyRing(tmp_path / "ring") as ring:
        assert ring.known("customer_id", 374) is None
    again = json.loads(run("erase", "374", "--yes", "--json", *config)[1])
    assert again["records"] is None

    code, out, _ = run("audit", "verify", "--no-witness", *config)
    assert (code, out.splitlines()[0]) == (
        0,
        "whole: 3 records, 5 acts, 6 anchors; 2 records were erased",
    )
    log = run("audit", "log", *config)[1]
    assert "redact field=customer_id" in log
    assert token not in log
    code, _, err = run("explanation", "show", f"{1:032x}", *config)
    assert code == 1
    assert f"record {1:032x} was erased on " in err
    assert "by ada, act 2: nothing is left to show of it" in " ".join(err.split())
    found = json.loads(run("explanation", "find", "--decision", "review", "--json", *config)[1])
    assert [(each["act"], each["who"]) for each in found["erased"]] == [(4, "ada"), (2, "ada")]
    said = run("explanation", "find", "--decision", "review", *config)[1]
    assert f"erased: 2 that fit, such as: {2:032x} was erased on" in said


def test_a_store_that_was_tampered_with_stops_all_of_it(
    stored: Settings, tmp_path: Path, run: Run
) -> None:
    with closing(sqlite3.connect(stored.store.default_file(stored.data_dir))) as raw:
        raw.execute("UPDATE weir_records SET outcome = 'approve' WHERE sequence = 1")
        raw.commit()
    code, out, err = run("erase", "374", "--yes", "-c", tmp_path / "weir.toml")
    assert (code, out) == (1, "")
    assert "nothing was erased, since it may be evidence: record 1" in " ".join(err.split())
    with KeyRing(tmp_path / "ring") as ring:
        assert ring.known("customer_id", 374) is not None


def test_an_identifier_that_is_none_is_told(settings: Settings, tmp_path: Path, run: Run) -> None:
    code, _, err = run("erase", "ada", "-c", tmp_path / "weir.toml")
    assert code == 2
    assert "customer_id is an int field" in err
