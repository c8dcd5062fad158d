"""Each process works with just the rights that `weir acls` names, and says which one is missing."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from threading import Event
from time import monotonic, sleep
from typing import Any, NamedTuple

import psutil
import pyarrow.parquet as pq
import pytest
from confluent_kafka import Consumer, KafkaException, Producer
from front_door import Trained
from secured import Secured
from security_world import World

from streams.kafka.client import KafkaSettings
from streams.kafka.rights.acls import Acl, Process
from streams.kafka.topics.weir_topics import ROLES
from streams.transactions.outcome import Outgoing
from streams.transactions.transactor import Transactor
from weir.main import main

COUNT, MORE = 1_200, 100
LONGEST_S = 60


LOST = (0, 1, 2, 3, 6, 7, 11, 12)
"""Of a scorer's rights those that it uses all the time."""


class Said(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Said]
RunIn = Callable[[World], Run]


@pytest.fixture(scope="module")
def world(secured: Secured, trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(secured, tmp_path_factory.mktemp("world"), trained.folder / "data")


@pytest.fixture
def run_in(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[RunIn]:
    """Run the front door in this process as a user, with the password from the environment."""
    for name in [name for name in os.environ if name.startswith("WEIR_")]:
        monkeypatch.delenv(name)
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)
    handlers = {number: signal.getsignal(number) for number in numbers}

    def too_long(*_: object) -> None:
        raise TimeoutError(f"no end within {LONGEST_S} s")

    def run(world: World, user: str, *arguments: object) -> Said:
        monkeypatch.setenv("WEIR_KAFKA__SASL_PASSWORD", world.secured.passwords[user])
        config = world.write(user)
        monkeypatch.setattr(sys, "argv", ["weir", *map(str, arguments), "-c", str(config)])
        capfd.readouterr()
        signal.signal(signal.SIGALRM, too_long)
        signal.alarm(LONGEST_S)
        with pytest.raises(SystemExit) as end:
            main()
        signal.alarm(0)
        said = capfd.readouterr()
        world.check_silence(said.out + said.err)
        assert "Traceback" not in said.err
        assert isinstance(end.value.code, int)
        return Said(end.value.code, said.out, " ".join(said.err.split()))

    yield lambda world: partial(run, world)
    signal.alarm(0)
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def run(run_in: RunIn, world: World) -> Run:
    return run_in(world)


def done(said: Said) -> Any:
    assert said.code == 0, said.err
    return json.loads(said.out)


def replay_more(run: Run, trained: Trained, before: dict[str, Any]) -> dict[str, Any]:
    """Send the next events of the file."""
    start = datetime.fromtimestamp(before["resume_from_ms"] / 1_000, UTC)
    sent: dict[str, Any] = done(
        run(
            "producer",
            "replay",
            trained.events,
            "--limit",
            MORE,
            "--json",
            "--from",
            start.isoformat(timespec="milliseconds").replace("+00:00", ""),
        )
    )
    assert sent["events"] == MORE
    return sent


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = monotonic() + LONGEST_S
    while not condition():
        assert monotonic() < deadline, "it did not happen in time"
        sleep(0.1)


def ended_for_want_of(acl: Acl, scorer: "subprocess.Popen[str]", log: Path) -> None:
    """Soon, after a few attempts at most."""
    assert scorer.wait(LONGEST_S) == 3, log.read_text()
    words = " ".join(log.read_text().split())
    assert "Traceback" not in words
    assert "Kafka denies " in words
    assert f": {acl}." in words
    assert words.count("transaction aborted") < 5


def test_a_stream_is_scored_by_users_with_just_their_rights(
    world: World, trained: Trained, run: Run, tmp_path: Path
) -> None:
    assert len(done(run("admin", "topics", "--json"))["topics"]) == len(ROLES) + 1
    for user, process in [
        ("scorer", "scorer"),
        ("producer", "producer"),
        ("analyst", "evaluation"),
        ("analyst", "dead-letters-requeue"),
        ("analyst", "dead-letters-purge"),
    ]:
        granted = run(
            "admin",
            "acls",
            "--process",
            process,
            "--principal",
            f"User:{user}",
            "--grant",
            "--json",
        )
        assert done(granted)["granted"] is True

    sent = done(run("producer", "replay", trained.events, "--limit", COUNT, "--json"))
    assert sent["events"] == COUNT
    own = world.secured.with_password("producer", sasl_password=world.secured.passwords["producer"])
    producer = Producer(KafkaSettings.model_validate(own).producer_config())
    producer.produce(world.settings.topics.events, b"noise", partition=0)
    assert producer.flush(30) == 0

    # First with a password that comes from a file, then with a certificate instead.
    secret = tmp_path / "password"
    secret.write_text(world.secured.passwords["scorer"] + "\n")
    kafka = world.secured.with_password("scorer", sasl_password_file=str(secret))
    first, second = tmp_path / "first.log", tmp_path / "second.log"
    with world.scorer(world.write("scorer", kafka=kafka), first) as scorer:
        world.wait_for(COUNT, scorer, first)
        for part in psutil.Process(scorer.pid).cmdline():
            assert world.secured.passwords["scorer"] not in part
        wait_until(lambda: "snapshot of" in first.read_text())
        # Its place goes with the next commit.
        sent = replay_more(run, trained, sent)
        world.wait_for(COUNT + MORE, scorer, first)
    feature_log = world.needs(Process.SCORER)[3]
    with world.started(world.write("scorer", certificate=True), second) as scorer:
        sent = replay_more(run, trained, sent)
        scores = world.wait_for(COUNT + 2 * MORE, scorer, second)
        world.take_away("scorer", feature_log)
        replay_more(run, trained, sent)
        ended_for_want_of(feature_log, scorer, second)
    assert "from a snapshot" in second.read_text()
    world.check_silence(first.read_text() + second.read_text())
    expected = pq.read_table(trained.events)["transaction_id"].to_pylist()[: COUNT + 2 * MORE]
    assert (sorted(scores.ids), scores.duplicates) == (sorted(expected), 0)

    assert done(run("analyst", "evaluate", "--json"))["events"] == COUNT + 2 * MORE
    assert done(run("analyst", "dead-letters", "list", "--json"))["letters"] == 1
    assert done(run("analyst", "dead-letters", "requeue", "--yes", "--json"))["total"] == 1
    assert done(run("analyst", "dead-letters", "purge", "--all", "--yes", "--json"))["done"]


@pytest.mark.exhaustive
def test_staged_workers_score_with_just_their_rights(
    secured: Secured, trained: Trained, run_in: RunIn, tmp_path: Path
) -> None:
    world = World(secured, tmp_path, trained.folder / "data", "staged")
    run = run_in(world)
    assert run("admin", "topics").code == 0
    world.grant("producer", world.needs(Process.PRODUCER))
    acls = world.needs(Process.SCORER)
    world.grant("scorer", acls)
    assert done(run("producer", "replay", trained.events, "--limit", COUNT, "--json"))
    log, other = tmp_path / "log", tmp_path / "other"
    secret = {"WEIR_KAFKA__SASL_PASSWORD": secured.passwords["scorer"]}
    with (
        world.scorer(world.write("scorer"), log, **secret) as scorer,
        world.scorer(world.write("scorer", certificate=True), other),
    ):
        scores = world.wait_for(COUNT, scorer, log)
    assert (len(scores.ids), scores.duplicates) == (COUNT, 0)
    for acl in acls:
        world.take_away("scorer", acl)
        try:
            said = run("scorer", "score")
        finally:
            world.grant("scorer", [acl])
        assert said.code == 3, said.err
        assert "weir acls" in said.err
        assert f"Kafka denies user 'scorer': {acl}." in said.err


def test_a_transaction_whose_records_are_denied_says_so_at_once(world: World, run: Run) -> None:
    assert run("admin", "topics").code == 0
    acls = world.needs(Process.SCORER)
    feature_log, own = acls[3], acls[-1]
    world.grant("scorer", acls)
    world.take_away("scorer", feature_log)
    password = world.secured.passwords["scorer"]
    kafka = KafkaSettings.model_validate(
        world.secured.with_password("scorer", sasl_password=password)
    )
    transactor = Transactor(kafka, own.name, 10_000, Event())
    try:
        transactor.start()
        group = Consumer(kafka.consumer_config(group_id=world.settings.loop.group))
        log = Outgoing(feature_log.name, [b"record"], [None], [0])
        transactor.submit([log], [], group.consumer_group_metadata())
        with pytest.raises(KafkaException, match="Topic authorization failed"):
            transactor.settle(wait=True)
    finally:
        transactor.close()
        world.grant("scorer", [feature_log])


@pytest.mark.parametrize("number", range(13))
def test_a_scorer_without_a_right_says_which(world: World, run: Run, number: int) -> None:
    acls = world.needs(Process.SCORER)
    assert len(acls) == 13
    assert run("admin", "topics").code == 0
    world.grant("scorer", acls)
    acl = acls[number]
    world.take_away("scorer", acl)
    try:
        said = run("scorer", "score")
    finally:
        world.grant("scorer", [acl])
    assert said.code == 3
    assert "weir acls" in said.err
    assert f"Kafka denies user 'scorer': {acl}." in said.err


@pytest.mark.parametrize(
    ("arguments", "rights"),
    [
        (["replay", "{events}"], ["Write on topic 'events", "Write on topic 'labels"]),
        (["replay", "{events}", "--no-labels"], ["Write on topic 'events"]),
        (["evaluate"], ["Read on topic 'scores", "Read on topic 'labels"]),
        (["label", "1", "fraud"], ["Write on topic 'labels"]),
        (["dead-letters", "list"], ["Read on topic 'dead_letters"]),
        (
            ["dead-letters", "requeue", "--yes"],
            ["Read on topic 'dead_letters", "Write on topic 'dead_letters", "Write on topic 'ev"],
        ),
        (
            ["dead-letters", "purge", "--all", "--yes"],
            ["Read on topic 'dead_letters", "Delete on topic 'dead_letters"],
        ),
        (["fidelity"], ["Read on topic 'feature_log"]),
        (["policy", "show"], ["Read on topic 'control", "Read on topic 'reports"]),
        (
            ["models", "rollback"],
            ["Read on topic 'control", "Read on topic 'reports", "Write on topic 'control"],
        ),
    ],
)
def test_who_has_no_rights_is_told_all_that_are_missing(
    world: World, trained: Trained, run: Run, arguments: list[str], rights: list[str]
) -> None:
    assert run("admin", "topics").code == 0
    said = run("nobody", *(each.format(events=trained.events) for each in arguments))
    assert said.code == 3
    for right in rights:
        assert right in said.err
    assert "Kafka denies user 'nobody'" in said.err
    assert "weir acls" in said.err


def test_a_person_labels_with_just_the_right_to(world: World, run: Run) -> None:
    assert run("admin", "topics").code == 0
    acls = world.needs(Process.LABELLER)
    world.grant("nobody", acls)
    try:
        assert done(run("nobody", "label", 1, "fraud", "--by", "ada", "--json"))["label"] == "fraud"
    finally:
        for acl in acls:
            world.take_away("nobody", acl)
    said = run("nobody", "label", 1, "legitimate")
    assert said.code == 3
    assert f"Kafka denies user 'nobody': {acls[0]}." in said.err


def test_who_only_looks_can_not_command(world: World, run: Run) -> None:
    assert run("admin", "topics").code == 0
    acls = world.needs(Process.VIEWER)
    world.grant("nobody", acls)
    try:
        for look in (("models", "serving"), ("policy", "show"), ("shadow", "status")):
            assert isinstance(done(run("nobody", *look, "--json")), dict)
        said = run("nobody", "policy", "set", "--by", "ada", "--wait", 0, "--version", "2")
        assert said.code == 3
        assert "Write on topic 'control" in said.err
        for acl in acls:
            world.take_away("nobody", acl)
            assert f"Kafka denies user 'nobody': {acl}." in run("nobody", "policy", "show").err
            world.grant("nobody", [acl])
    finally:
        for acl in acls:
            world.take_away("nobody", acl)


def test_an_auditor_hears_the_witness_with_just_the_rights_to(world: World, run: Run) -> None:
    assert run("admin", "topics").code == 0
    acls = world.needs(Process.AUDITOR)
    hears = ("audit", "verify", "--witness")
    store, data_dir = world.settings.store, world.settings.data_dir
    store.open_signer(data_dir)
    store.open_database(data_dir).close()
    assert "what Kafka witnesses of the store: " in run("nobody", *hears).err
    world.grant("nobody", acls)
    try:
        said = run("nobody", *hears)
    finally:
        for acl in acls:
            world.take_away("nobody", acl)
    assert (said.code, said.err) == (0, "")
    assert f"topic '{store.witness_topic}' has none" in said.out
    for acl in acls:
        world.grant("nobody", [acl])
        try:
            said = run("nobody", *hears)
            assert said.code == 3
            assert "`weir acls" in said.err
        finally:
            world.take_away("nobody", acl)


def test_requeuing_without_the_right_to_its_transactional_id_says_so(
    world: World, run: Run
) -> None:
    assert run("admin", "topics").code == 0
    acls = world.needs(Process.REQUEUE)
    (own,) = [acl for acl in acls if acl.resource == "transactional-id"]
    world.grant("analyst", acls)
    world.take_away("analyst", own)
    try:
        said = run("analyst", "dead-letters", "requeue", "--yes")
    finally:
        world.grant("analyst", [own])
    assert said.code == 3
    assert f"Kafka denies user 'analyst': {own}." in said.err


def test_commanding_without_the_right_to_the_transactional_id_says_so(
    world: World, run: Run
) -> None:
    assert run("admin", "topics").code == 0
    acls = world.needs(Process.CONTROL)
    (own,) = [acl for acl in acls if acl.resource == "transactional-id"]
    command = ("policy", "set", "--by", "ada", "--wait", 0, "--version")
    world.grant("analyst", acls)
    try:
        assert run("analyst", *command, "2").code == 0
        world.take_away("analyst", own)
        said = run("analyst", *command, "3")
    finally:
        for acl in acls:
            if acl is not own:
                world.take_away("analyst", acl)
    assert said.code == 3
    assert f"Kafka denies user 'analyst': {own}." in said.err


def test_who_may_not_change_acls_is_told(run: Run) -> None:
    said = run("nobody", "acls", "--process", "scorer", "--principal", "User:nobody", "--grant")
    assert said.code == 3
    assert "Alter on the cluster" in said.err


def test_the_broker_shows_no_password(world: World) -> None:
    folder = world.secured.settings.data_dir
    for password in world.secured.passwords.values():
        for file in folder.rglob("*"):
            assert not (file.is_file() and password.encode() in file.read_bytes()), file
    pid = int((folder / "broker.pid").read_text().split()[0])
    assert not any(
        password in part
        for part in psutil.Process(pid).cmdline()
        for password in world.secured.passwords.values()
    )
    assert (folder / "server.properties").stat().st_mode & 0o077 == 0


@pytest.mark.exhaustive
@pytest.mark.parametrize("number", LOST)
def test_a_right_that_is_taken_away_ends_the_scorer(
    secured: Secured, trained: Trained, run_in: RunIn, tmp_path: Path, number: int
) -> None:
    world = World(secured, tmp_path, trained.folder / "data")
    run = run_in(world)
    assert run("admin", "topics").code == 0
    acl = world.needs(Process.SCORER)[number]
    world.grant("producer", world.needs(Process.PRODUCER))
    world.grant("scorer", world.needs(Process.SCORER))
    log = tmp_path / "log"
    secret = {"WEIR_KAFKA__SASL_PASSWORD": secured.passwords["scorer"]}
    config = world.write("scorer", loop={"group": world.settings.loop.group, "max_batch": 20})
    sent = done(run("producer", "replay", trained.events, "--limit", MORE, "--json"))
    with world.started(config, log, **secret) as scorer:
        world.wait_for(MORE, scorer, log)
        world.take_away("scorer", acl)
        replay_more(run, trained, sent)
        ended_for_want_of(acl, scorer, log)


def test_who_compares_candidates_needs_no_more_than_that(world: World, run: Run) -> None:
    assert run("admin", "topics").code == 0
    acls = world.needs(Process.COMPARISON)
    world.grant("nobody", acls)
    try:
        for acl in acls:
            world.take_away("nobody", acl)
            said = run("nobody", "shadow", "compare", "none")
            assert f"Kafka denies user 'nobody': {acl}." in said.err
            world.grant("nobody", [acl])
        said = run("nobody", "shadow", "compare", "none")
        assert (said.code, "there is no candidate 'none'" in said.err) == (2, True)
    finally:
        for acl in acls:
            world.take_away("nobody", acl)
