"""`weir audit` and `weir sink` on the command line."""

import json
import signal
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from time import monotonic, sleep

import msgspec
import pytest
from front_door import environment, write_settings

from explain.store.appending import Appender
from explain.store.people.queries import Reader
from streams.kafka.client import KafkaSettings
from streams.kafka.records.consuming import read_to_end
from streams.kafka.records.publisher import Publisher
from weir.config.settings import load_settings

DAY_MS = 86_400_000
DAYS_2026 = 1_767_225_600_000  # 2026-01-01

Run = Callable[..., tuple[int, str, str]]


def record(number: int) -> bytes:
    """An explanation of an event on day `number` of 2026."""
    return msgspec.json.encode(
        {
            "schema": "weir.explanation/1",
            "id": f"{number:032x}",
            "event": {"id": number, "key": "token", "time": DAYS_2026 + number * DAY_MS},
            "decision": {"outcome": "review"},
            "model": {"package": "ab" * 32},
        },
        order="sorted",
    )


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A store of twelve records, one a day, with anchors at 4, 8 and 12, and one of a read."""
    path = write_settings(tmp_path / "weir.toml")
    settings = load_settings(path)
    with settings.store.open_database(settings.data_dir) as database:
        signer = settings.store.open_signer(settings.data_dir)
        appender = Appender(database, signer, anchor_every=1, anchor_after_ms=0)
        for first in range(0, 12, 4):
            appender.append([record(number) for number in range(first, first + 4)])
        Reader(database, "ada", note="complaint 7").get(f"{3:032x}")
    return path


def tamper(config: Path, statement: str) -> None:
    with closing(sqlite3.connect(config.parent / "data" / "explanations.db")) as raw:
        raw.execute(statement)
        raw.commit()


def test_verify_says_whole_or_names_the_record(run: Run, config: Path) -> None:
    code, out, err = run("audit", "verify", "-c", config)
    whole, witness = out.splitlines()
    assert (code, whole, err) == (0, "whole: 12 records, 1 acts, 4 anchors", "")
    assert "Kafka does not say how far the store was, so only a copy of the anchors" in witness
    code, out, _ = run("audit", "verify", "-c", config, "--no-witness")
    assert (code, out.splitlines()[1]) == (0, "Kafka was not asked what it witnesses of the store")
    code, out, err = run("audit", "verify", "-c", config, "--witness")
    assert (code, out) == (3, "")
    assert "what Kafka witnesses of the store" in err
    tamper(
        config,
        "UPDATE weir_records SET body = replace(body, 'review', 'revieW') WHERE sequence = 6",
    )
    code, out, err = run("audit", "verify", "-c", config)
    assert (code, err) == (1, "")
    first, rest, _ = out.splitlines()
    assert (
        first == f"TAMPERED: record 6 ({5:032x}) changed: its bytes do not have its hash any more"
    )
    assert rest.startswith("up to the first fault: 5 records")
    code, out, _ = run("audit", "verify", "-c", config, "--json")
    said = json.loads(out)
    assert (code, said["whole"], said["records"]) == (1, False, 5)
    assert said["faults"][0]["sequence"] == 6


def test_a_copy_of_the_anchors_and_a_public_key_are_enough_elsewhere(
    run: Run, config: Path, tmp_path: Path
) -> None:
    copy, public = tmp_path / "anchors.jsonl", tmp_path / "public.pem"
    assert run("audit", "anchors", "-c", config, "--out", copy)[0] == 0
    assert run("audit", "anchors", "-c", config)[1] == copy.read_text()
    assert len(run("audit", "anchors", "-c", config, "--after", 3)[1].splitlines()) == 1
    assert run("audit", "key", "-c", config, "--out", public)[0] == 0
    (tmp_path / "data" / "audit-key.pem").unlink()
    code, _, err = run("audit", "verify", "-c", config)
    assert code == 1
    assert "--public-key" in err
    arguments = ("audit", "verify", "-c", config, "--public-key", public)
    assert run(*arguments, "--anchors", copy)[0] == 0
    tamper(config, "DELETE FROM weir_records WHERE sequence > 8")
    tamper(config, "DELETE FROM weir_anchors WHERE number > 2")
    assert run(*arguments)[0] == 0
    code, out, _ = run(*arguments, "--anchors", copy)
    assert code == 1
    assert "record 9 truncated: the end was cut off" in out
    assert run(*arguments, "--anchors", tmp_path / "none")[0] == 1


def test_a_copy_is_not_written_over_by_less(run: Run, config: Path) -> None:
    copy = config.parent / "anchors.jsonl"
    anchors = ("audit", "anchors", "-c", config, "--out", copy)
    for _ in range(2):  # what is there already stands in its own way no more than it has to
        assert run(*anchors)[0] == 0
    kept = copy.read_bytes()
    assert kept.count(b"\n") == 4
    code, _, err = run(*anchors, "--after", 2)
    assert (code, ">> " in err, copy.read_bytes()) == (2, True, kept)
    tamper(config, "DELETE FROM weir_anchors WHERE number = 4")
    code, _, err = run(*anchors)
    assert code == 1
    assert "does not have its anchor 4 any more" in err
    assert copy.read_bytes() == kept
    tamper(config, "UPDATE weir_anchors SET body = x'00' WHERE number = 2")
    assert run(*anchors)[0] == 1
    assert copy.read_bytes() == kept
    assert run("audit", "anchors", "-c", config, "--out", copy.with_name("new.jsonl"))[0] == 1
    assert not list(config.parent.glob("*new*"))
    assert not list(config.parent.glob(".weir-*"))


def test_a_store_that_is_gone_is_not_whole(run: Run, config: Path) -> None:
    (config.parent / "data" / "explanations.db").unlink()
    code, out, err = run("audit", "verify", "-c", config)
    assert (code, out) == (1, "")
    assert "explanations.db: there is no such file" in err


def test_what_people_wrote_can_not_drive_the_terminal(run: Run, config: Path) -> None:
    evil = "\x1b[2J\n3  ben"
    assert run("audit", "hold", "add", "-c", config, "--event", 5, "--note", evil)[0] == 0
    assert run("audit", "hold", "add", "-c", config, "--event", evil, "--by", evil)[0] == 0
    for command in (("log",), ("hold", "list")):
        out = run("audit", *command, "-c", config)[1]
        assert "\\x1b[2J\\n3  ben" in out
        assert "\x1b" not in out


def test_a_hold_of_no_record_says_so(run: Run, config: Path) -> None:
    code, out, err = run("audit", "hold", "add", "-c", config, "--key", 373)
    assert (code, out) == (0, "hold 2: key 373 (records so far: 0)\n")
    assert "weir tokens show" in err
    said = json.loads(run("audit", "hold", "add", "-c", config, "--key", "token", "--json")[1])
    assert (said["hold"], said["records"]) == (3, 12)


def test_the_log_tells_who_read_what(run: Run, config: Path) -> None:
    code, out, _ = run("audit", "log", "-c", config)
    assert code == 0
    assert out.split()[:1] + out.split()[3:] == [
        "1",
        "ada",
        "read",
        f"id={3:032x}",
        "limit=1",
        "1",
        "complaint",
        "7",
    ]
    (line,) = run("audit", "log", "-c", config, "--json")[1].splitlines()
    assert json.loads(line)["who"] == "ada"


def test_hold_and_purge(run: Run, config: Path) -> None:
    assert run("audit", "hold", "list", "-c", config)[1] == "no hold is in force\n"
    code, out, _ = run("audit", "hold", "add", "-c", config, "--event", 5, "--note", "court 4711")
    assert (code, out) == (0, "hold 2: event 5 (records so far: 1)\n")
    assert "court 4711" in run("audit", "hold", "list", "-c", config)[1]
    purge = ("audit", "purge", "-c", config, "--before", "2026-01-11")
    code, out, _ = run(*purge)
    assert code == 0
    assert "would remove 4 records, of the 10 whose events are older" in out
    assert "under hold: some of those (2)" in out
    assert "--yes" in out
    assert run("audit", "hold", "release", 2, "-c", config, "--by", "bob")[0] == 0
    assert "removed 8 records" in run(*purge, "--yes", "--by", "bob", "--note", "old")[1]
    said = json.loads(run("audit", "verify", "-c", config, "--json")[1])
    assert (said["whole"], said["records"], said["purged"], said["acts"]) == (True, 4, 8, 4)
    tamper(config, "UPDATE weir_records SET hash = x'00' WHERE sequence = 10")
    code, _, err = run("audit", "purge", "-c", config, "--before", "2027-01-01", "--yes")
    assert code == 1
    assert "nothing was removed, since it may be evidence: record 10" in err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["purge"], 2, ["--before", "store.keep"]),
        (["purge", "--before", "soon"], 2, ["--before", "soon"]),
        (["hold", "add"], 1, ["say what is held"]),
        (["hold", "add", "--from", "2026-02-01", "--to", "2026-01-01"], 2, ["not before"]),
        (["hold", "release", "77"], 1, ["no hold 77"]),
        (["verify", "--public-key", "none.pem"], 1, ["none.pem"]),
        (["anchors", "--out", "no/such/file"], 1, ["no/such/file"]),
        (["key", "--out", "/dev/full"], 1, ["/dev/full: No space left"]),
        (["log", "--after", str(2**63)], 1, ["store.url", "too large"]),
        (["hold", "add", "--event", "1", "--note", "\udcff"], 1, ["'\\udcff' is not UTF-8"]),
    ],
)
def test_mistakes_end_in_one_line(
    run: Run, config: Path, arguments: list[str], code: int, words: list[str]
) -> None:
    got, out, err = run("audit", *arguments, "-c", config)
    assert (got, out) == (code, "")
    assert "Traceback" not in err
    for word in words:
        assert word in err


def test_roles_are_printed_for_postgresql_and_refused_in_sqlite(run: Run, config: Path) -> None:
    code, out, _ = run("audit", "roles", "-c", config, "--analyst", 'odd"name')
    assert code == 0
    assert 'TO "odd""name", "weir_keeper"' in out
    assert "{" not in out.replace("'{acts,sequence}'", "")
    code, _, err = run("audit", "roles", "-c", config, "--apply")
    assert code == 1
    assert "roles need PostgreSQL" in err


def test_a_database_that_does_not_answer_is_exit_code_3(run: Run, tmp_path: Path) -> None:
    path = write_settings(
        tmp_path / "weir.toml", store={"url": "postgresql://weir:hunter2@127.0.0.1:1/db"}
    )
    code, _, err = run("audit", "hold", "list", "-c", path)
    assert code == 3
    assert "store.url" in err
    assert "hunter2" not in err


def test_the_sink_stores_and_stops(
    run: Run, kafka: str, make_topics: Callable[..., list[str]], tmp_path: Path
) -> None:
    explanations, letters = f"explanations-{uuid.uuid4().hex}", *make_topics("letters")
    config = write_settings(
        tmp_path / "weir.toml",
        kafka={"bootstrap_servers": kafka},
        topics={"explanations": explanations, "dead_letters": letters, "partitions": 2},
        store={"group": f"sink-{uuid.uuid4().hex}"},
    )
    sink = [sys.executable, "-m", "weir", "sink", "-c", str(config), "--metrics-port", "0"]
    process = subprocess.Popen(
        sink,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(PYTHONPATH=str(Path(__file__).parents[3])),
    )
    assert process.stderr is not None
    while "metrics on" not in (line := process.stderr.readline()):
        assert line, "it ended"
    with Publisher(KafkaSettings(bootstrap_servers=kafka)) as publisher:
        for number in range(30):
            publisher.send(explanations, record(number), str(number))
        publisher.flush()
    deadline = monotonic() + 60
    while json.loads(run("audit", "verify", "-c", config, "--json")[1])["records"] < 30:
        assert monotonic() < deadline
        sleep(0.2)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert "under an anchor" in process.stderr.read()
    said = json.loads(run("audit", "verify", "-c", config, "--json")[1])
    assert (said["whole"], said["records"], said["unanchored"]) == (True, 30, 0)
    assert said["witness"]["heard"]
    assert "record 30 and act 0" in said["witness"]["said"]
    tamper(config, "DELETE FROM weir_records WHERE sequence > 0")
    tamper(config, "DELETE FROM weir_anchors")
    code, out, _ = run("audit", "verify", "-c", config)
    assert (code, "TAMPERED: witness of anchor" in out) == (1, True)
    for more, expected in (([], 1), (["--accept-store"], 0)):
        again = subprocess.Popen(
            [*sink, *more],
            stderr=subprocess.PIPE,
            text=True,
            env=environment(PYTHONPATH=str(Path(__file__).parents[3])),
        )
        assert again.stderr is not None
        while more and "going on over a store that is behind" not in (
            line := again.stderr.readline()
        ):
            assert line, "it ended"
        if more:
            again.send_signal(signal.SIGTERM)
        assert again.wait(60) == expected
    assert "accept acts=0 anchor=" in run("audit", "log", "-c", config)[1]
    assert run("audit", "verify", "-c", config, "--witness")[0] == 0


def test_a_sink_that_was_killed_writes_its_anchors_to_their_topic_at_the_next_start(
    run: Run, kafka: str, make_topics: Callable[..., list[str]], tmp_path: Path
) -> None:
    explanations, letters = make_topics("explanations", "letters")
    witness = f"witness-{uuid.uuid4().hex}"

    def write(group: str) -> Path:
        return write_settings(
            tmp_path / "weir.toml",
            kafka={"bootstrap_servers": kafka},
            topics={"explanations": explanations, "dead_letters": letters},
            store={"group": group, "witness_topic": witness, "anchor_every": 1, "max_batch": 1},
        )

    config = write(f"sink-{uuid.uuid4().hex}")
    kafka_settings = KafkaSettings(bootstrap_servers=kafka)
    with Publisher(kafka_settings) as publisher:
        for number in range(200):
            publisher.send(explanations, record(number), "token")
        publisher.flush()

    def exported() -> list[str]:
        return run("audit", "anchors", "-c", config)[1].splitlines()

    def written() -> list[str]:
        batches = read_to_end(kafka_settings, witness)
        return [(message.value() or b"").decode() for batch in batches for message in batch]

    def until(condition: Callable[[], bool], end: int) -> int:
        """Run a sink until then."""
        process = subprocess.Popen(
            [sys.executable, "-m", "weir", "sink", "-c", str(config), "--metrics-port", "0"],
            stderr=subprocess.DEVNULL,
            env=environment(PYTHONPATH=str(Path(__file__).parents[3])),
        )
        try:
            deadline = monotonic() + 60
            while not condition():
                assert monotonic() < deadline
                assert process.poll() is None
                sleep(0.02)
            process.send_signal(end)
            return process.wait(60)
        finally:
            process.kill()

    database = tmp_path / "data" / "explanations.db"
    assert until(lambda: count_records(database) >= 150, signal.SIGKILL) == -signal.SIGKILL
    assert len(exported()) >= 150
    # Before it joins the group, in which the one that was killed is a member for a while yet.
    assert until(lambda: set(exported()) == set(written()), signal.SIGTERM) == 0
    lines = written()
    assert list(dict.fromkeys(lines)) == exported()
    write("another")  # of which there are no notes, as where somebody has deleted them
    last = len(exported())
    code, out, _ = run("audit", "verify", "-c", config, "--witness")
    assert (code, f"topic '{witness}' witnesses anchor {last}" in out) == (0, True)
    tamper(config, "DELETE FROM weir_records WHERE sequence > 100")
    tamper(config, "DELETE FROM weir_anchors WHERE sequence > 100")
    code, out, _ = run("audit", "verify", "-c", config, "--json")
    said = json.loads(out)
    assert (code, said["witness"]["heard"]) == (1, True)
    assert [each["part"] for each in said["faults"]] == ["witness"]
    assert run("audit", "verify", "-c", config, "--no-witness")[0] == 0


def count_records(path: Path) -> int:
    """How many a store has that may just be being made."""
    if not path.exists():
        return 0
    with closing(sqlite3.connect(path)) as raw:
        try:
            (count,) = raw.execute("SELECT count(*) FROM weir_records").fetchone()
        except sqlite3.OperationalError:  # no such table yet
            return 0
    return int(count)
