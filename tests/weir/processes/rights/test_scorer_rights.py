"""Scorers work with just the rights that `weir acls` names, and say which one is missing."""

import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from time import monotonic, sleep
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest
from confluent_kafka import Consumer, KafkaException, Producer
from front_door import Trained
from said_by_users import LONGEST_S, Run, RunIn, done
from secured import Secured
from security_world import World

from streams.kafka.client import KafkaSettings
from streams.kafka.rights.acl import Acl
from streams.kafka.rights.process import Process
from streams.kafka.topics.weir_topics import ROLES
from streams.transactions.outcome import Outgoing
from streams.transactions.transactor import Transactor

COUNT, MORE = 1_200, 100

LOST = (0, 1, 2, 3, 6, 7, 12, 13)
"""Of a scorer's rights those that it uses all the time."""


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


@pytest.mark.parametrize("number", range(14))
def test_a_scorer_without_a_right_says_which(world: World, run: Run, number: int) -> None:
    acls = world.needs(Process.SCORER)
    assert len(acls) == 14
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
