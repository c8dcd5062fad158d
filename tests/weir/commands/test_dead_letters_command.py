"""`weir dead-letters` as a user runs it, on letters that the scorer's own function made."""

import json
import os
import signal
import sys
import uuid

import pytest
from confluent_kafka import Consumer, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from front_door import write_settings

from streams.dead_letters.letter import dead_letter
from streams.events.rejection import Reason, Rejected
from tests.streams.settled import wait_until_settled
from weir.cli import console
from weir.main import main

GOOD, BINARY, HUGE = b'{"amount": -1}', b"\xff\x00\x1b[31m", b"{" + b"x" * 20_000


@pytest.fixture
def run(monkeypatch, capfdbinary):
    """Run the front door in this process: (exit code, stdout, stderr)."""
    for name in [name for name in os.environ if name.startswith("WEIR_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(console.stdout, "width", 200)  # whatever it was when it was imported
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["weir", "dead-letters", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        captured = capfdbinary.readouterr()
        return end.value.code, captured.out, captured.err.decode()

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def config(kafka, make_topics, tmp_path):
    """Settings of a cluster with three letters of different kinds."""
    events, letters = make_topics("events", "dead_letters")
    topics = {"events": events, "dead_letters": letters} | {
        role: f"{role}-{uuid.uuid4().hex[:8]}"
        for role in ("scores", "feature_log", "labels", "snapshots")
    }
    producer = Producer({"bootstrap.servers": kafka})
    for offset, (value, reason, limit) in enumerate(
        [
            (GOOD, Reason.OUT_OF_BOUNDS, 10_000),
            (BINARY, Reason.NOT_UTF8, 10_000),
            (HUGE, Reason.NOT_JSON, 5_000),
        ]
    ):
        original = Message(
            topic=events,
            partition=0,
            offset=offset,
            key=b"card-%d" % offset,
            value=value,
            headers=[("trace", b"\xfe")],
            timestamp=(1, 1_700_000_000_000),
        )
        rejected = Rejected(0, reason, "amount", "it is no good")
        letter = dead_letter(original, rejected, 1_750_000_000_000 + offset * 1_000, limit)
        producer.produce(letters, letter.value, letter.key, headers=letter.headers)
    assert producer.flush(60) == 0
    path = write_settings(tmp_path / "weir.toml", topics=topics, kafka={"bootstrap_servers": kafka})
    return path, events


def events_in(kafka, topic):
    wait_until_settled(AdminClient({"bootstrap.servers": kafka}), topic)
    consumer = Consumer(
        {"bootstrap.servers": kafka, "group.id": "test", "enable.partition.eof": True}
    )
    consumer.assign([TopicPartition(topic, 0, 0)])
    found = []
    while (message := consumer.poll(60)).error() is None:
        found.append(message)
    consumer.close()
    return found


def test_list_counts_and_narrows(run, config):
    path, events = config
    code, out, _ = run("list", "-c", path)
    assert code == 0
    for words in (
        b"out_of_bounds",
        b"not_utf8",
        f"{events}/0/2".encode(),
        b"card-1",
        b"waiting",
        b"partial",
        b"20,001",
    ):
        assert words in out
    code, out, _ = run(
        "list",
        "-c",
        path,
        "--json",
        "--reason",
        "not_utf8",
        "--key",
        "card-1",
        "--topic",
        events,
        "--partition",
        0,
        "--from",
        "2025-06-15T15:06:41",
        "--to",
        "2025-06-15T15:06:42",
    )
    listed = json.loads(out)
    assert listed["letters"] == 1
    assert listed["latest"][0]["offset"] == 1
    assert listed["by_reason"]["not_utf8"]["letters"] == 1
    assert (
        json.loads(run("list", "-c", path, "--json", "--limit", 1)[1])["latest"][0]["offset"] == 2
    )
    assert b"no such" in run("list", "-c", path, "--reason", "empty")[1]
    code, _, err = run("list", "-c", path, "--reason", "because")
    assert code == 2
    assert "because" in err


def test_show_tells_all_and_drives_no_terminal(run, config):
    path, events = config
    code, out, _ = run("show", f"{events}/0/1", "-c", path)
    assert code == 0
    for words in (
        b"not_utf8",
        b"it is no good",
        b"ff 00 1b 5b",
        b"header trace",
        b"0xfe",
        b"2025-06-15",
        b"2023-11-14",
    ):
        assert words in out
    assert b"\x1b" not in out
    assert run("show", f"{events}/0/1", "-c", path, "--raw")[1] == BINARY
    out = run("show", f"{events}/0/2", "-c", path, "--bytes", 100)[1]
    assert b"20,001 bytes, of which the letter holds the first" in out
    assert b"more bytes: --bytes shows more" in out
    shown = json.loads(run("show", f"{events}/0/0", "-c", path, "--json")[1])
    assert (shown["value"], shown["partial"], shown["attempts"]) == (GOOD.decode(), False, 1)
    code, _, err = run("show", f"{events}/0/77", "-c", path)
    assert code == 1
    assert "weir dead-letters list" in err
    assert run("show", "77", "-c", path)[0] == 2


def test_requeue_says_first_and_does_it_once(run, config, kafka):
    path, events = config
    code, out, _ = run("requeue", "-c", path)
    assert code == 1  # one of them is partial
    assert f"would requeue 2 dead letters to {events}".encode() in out
    assert b"nothing was done: --yes" in out
    assert f"{events}/0/2".encode() in out
    assert events_in(kafka, events) == []
    code, out, _ = run("requeue", "-c", path, "--yes", "--id", f"{events}/0/1", "--json")
    assert code == 0
    assert json.loads(out)["sent"] == {events: 1}
    [record] = events_in(kafka, events)
    assert record.value() == BINARY
    code, out, _ = run("requeue", "-c", path, "--yes", "--id", f"{events}/0/1")
    assert code == 0
    assert b"1 were requeued before" in out
    assert len(events_in(kafka, events)) == 1
    assert b"requeued 20" in run("list", "-c", path)[1]


def test_purge_says_first_and_deletes_no_more_than_was_asked_for(run, config):
    path, _ = config
    assert run("purge", "-c", path, "--yes")[0] == 2
    code, _, err = run("purge", "-c", path, "--reason", "not_json", "--yes")
    assert code == 1
    assert "only from the beginning" in err
    code, out, _ = run("purge", "-c", path, "--to", "2025-06-15T15:06:42")
    assert code == 0
    assert b"would delete 2 dead letters" in out
    assert json.loads(run("list", "-c", path, "--json")[1])["letters"] == 3
    assert b"deleted 2" in run("purge", "-c", path, "--to", "2025-06-15T15:06:42", "--yes")[1]
    assert json.loads(run("list", "-c", path, "--json")[1])["letters"] == 1
    assert b"deleted 1" in run("purge", "-c", path, "--all", "--yes")[1]
    assert b"no dead letters" in run("list", "-c", path)[1]
