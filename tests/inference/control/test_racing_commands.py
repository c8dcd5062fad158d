"""Two who give a command at once, and who is killed in the midst of it, on the real broker."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from inference.control.commands import (
    CHAMPION_KEY,
    FORMAT,
    POLICY_KEY,
    ChampionCommand,
    Command,
    ModelVersion,
    NewerFormatError,
    PolicyCommand,
    encode,
)
from inference.control.control_room import ControlRoom
from inference.control.signatures import CommandKeys
from inference.control.standing import OvertakenError, Standing
from inference.policy.policy import PolicySettings
from streams.kafka.client import KafkaSettings
from streams.kafka.records.control_topic import ControlReader, ControlRecord, write_control
from streams.transactions.control_writer import ControlWriter
from streams.transactions.errors import FencedError

A, B, C = (ModelVersion(version=number, package=f"{number}" * 64) for number in (1, 2, 3))


@pytest.fixture
def topic(make_topics: Callable[..., list[str]]) -> str:
    (name,) = make_topics("control", partitions=2, config={"cleanup.policy": "compact"})
    return name


@pytest.fixture
def reports(make_topics: Callable[..., list[str]]) -> str:
    (name,) = make_topics("reports")
    return name


@pytest.fixture
def settings(kafka: str) -> KafkaSettings:
    return KafkaSettings(bootstrap_servers=kafka)


@pytest.fixture
def enter(settings: KafkaSettings, topic: str, reports: str) -> Iterator[Callable[[], ControlRoom]]:
    """A function that opens a control room of somebody's own."""
    rooms: list[ControlRoom] = []

    def enter() -> ControlRoom:
        rooms.append(ControlRoom(settings, CommandKeys(topic), reports))
        return rooms[-1]

    yield enter
    for room in rooms:
        room.close()


def champion(model: ModelVersion, by: str, expects: Any = None) -> ChampionCommand:
    return ChampionCommand(model=model, expects=expects, by=by, at=1)


def policy(version: str, by: str, expects: Any = None) -> PolicyCommand:
    return PolicyCommand(policy=PolicySettings(version=version), expects=expects, by=by, at=1)


def log(settings: KafkaSettings, topic: str, key: str = CHAMPION_KEY) -> list[ControlRecord]:
    """All records of a key that anybody can read."""
    found: list[ControlRecord] = []
    with closing(ControlReader(settings, topic)) as reader:
        reader.read_to_end(lambda record: record.key == key and not found.append(record))
    return found


@pytest.mark.parametrize(
    ("key", "first", "second", "said"),
    [
        (CHAMPION_KEY, champion(A, "ada"), champion(B, "bob"), "promoted meanwhile by ada: 1111"),
        (POLICY_KEY, policy("2", "ada"), policy("3", "bob"), "set meanwhile by ada: 2;"),
    ],
)
def test_of_two_who_saw_the_same_the_first_wins(
    settings: KafkaSettings,
    topic: str,
    enter: Callable[[], ControlRoom],
    key: str,
    first: Command,
    second: Command,
    said: str,
) -> None:
    ada, bob = enter(), enter()
    ada.change(key, first)
    with pytest.raises(OvertakenError, match=f"refused: {said}.*again"):
        bob.change(key, second)
    assert [record.value for record in log(settings, topic, key)] == [encode(first)]
    for room in (bob, enter()):
        assert (room.champion or room.policy) == first
    bob.change(key, second.model_copy(update={"expects": first.named}))
    assert len(log(settings, topic, key)) == 2


def test_who_begins_later_fences_off_who_has_not_written_yet(
    settings: KafkaSettings, topic: str
) -> None:
    with ControlWriter(settings, topic) as early, ControlWriter(settings, topic) as late:
        with pytest.raises(FencedError, match="at the same moment"):
            early.write(CHAMPION_KEY, b"early")
        place = late.write(CHAMPION_KEY, b"late")
    (record,) = log(settings, topic)
    assert (record.value, record.partition, record.offset) == (b"late", *place)


def test_who_is_overtaken_while_it_reads_learns_by_whom(
    settings: KafkaSettings,
    topic: str,
    enter: Callable[[], ControlRoom],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    room, other = enter(), enter()

    def meanwhile() -> dict[str, int]:
        other.change(CHAMPION_KEY, champion(B, "bob"))
        return {}

    monkeypatch.setattr(room, "_last_words", meanwhile)
    with pytest.raises(OvertakenError, match="promoted meanwhile by bob: 2222"):
        room.change(CHAMPION_KEY, champion(A, "ada"))
    assert len(log(settings, topic)) == 1


def test_who_is_killed_before_the_end_has_changed_nothing(
    settings: KafkaSettings, topic: str, enter: Callable[[], ControlRoom]
) -> None:
    code = (
        "import os, sys\n"
        "from streams.transactions.control_writer import ControlWriter\n"
        "from streams.kafka.client import KafkaSettings\n"
        "writer = ControlWriter(KafkaSettings(bootstrap_servers=sys.argv[1]), sys.argv[2])\n"
        "writer._producer.begin_transaction()\n"
        "writer._producer.produce(sys.argv[2], b'half', 'champion')\n"
        "assert writer._producer.flush(30) == 0\n"
        "os.kill(os.getpid(), 9)\n"
    )
    room = enter()
    done = subprocess.run(
        [sys.executable, "-c", code, settings.bootstrap_servers, topic],
        cwd=Path(__file__).parents[3],
        check=False,
    )
    assert done.returncode == -9
    assert enter().champion is None
    room.change(CHAMPION_KEY, champion(A, "ada"))
    assert [record.value for record in log(settings, topic)] == [encode(champion(A, "ada"))]


def test_a_command_from_before_formats_that_comes_between_stands_for_everybody(
    settings: KafkaSettings,
    topic: str,
    enter: Callable[[], ControlRoom],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    enter().change(CHAMPION_KEY, champion(A, "ada"))
    room = enter()
    old = {"model": B.model_dump(), "by": "an old Weir", "at": 1}

    def meanwhile() -> dict[str, int]:
        write_control(settings, topic, CHAMPION_KEY, json.dumps(old).encode())
        return {}

    monkeypatch.setattr(room, "_last_words", meanwhile)
    with pytest.raises(OvertakenError, match="promoted meanwhile by an old Weir: 2222"):
        room.change(CHAMPION_KEY, champion(C, "cleo", A))
    assert room.champion is not None
    assert room.champion.model == B
    records = log(settings, topic)
    standing = Standing()
    assert [standing.counts(record) for record in records] == [True, True, False, True]
    # Those who start when only the last record is left come to the same end.
    assert json.loads(records[-1].value or b"")["model"] == B.model_dump()


def test_nobody_overwrites_what_a_newer_weir_has_said(
    settings: KafkaSettings,
    topic: str,
    enter: Callable[[], ControlRoom],
    caplog: pytest.LogCaptureFixture,
) -> None:
    write_control(settings, topic, CHAMPION_KEY, json.dumps({"format": FORMAT + 1}).encode())
    room = enter()
    assert room.champion is None
    assert "newer Weir" in caplog.text
    with pytest.raises(NewerFormatError, match="update this Weir"):
        room.change(CHAMPION_KEY, champion(A, "ada"))
    assert len(log(settings, topic)) == 1
