"""Taking somebody's letters out of the topic, on the real broker."""

import json
from collections.abc import Callable
from threading import Event
from typing import Any

import pytest
from confluent_kafka import Message, Producer
from confluent_kafka.admin import AdminClient

from streams.dead_letters.erase import Eraser
from streams.dead_letters.letter import DeadLetter, dead_letter
from streams.dead_letters.mentions import Mentions
from streams.dead_letters.reader import DeadLetterReader, Selection
from streams.dead_letters.requeue import Requeuer
from streams.events.rejection import Reason, Rejected
from streams.kafka.client import KafkaSettings
from tests.streams.settled import wait_until_settled


def letter_of(value: bytes, key: bytes | None = b"k") -> DeadLetter:
    return DeadLetter(
        key=key,
        value=value,
        headers=[],
        reason="not_json",
        field=None,
        detail="",
        topic="e",
        partition=0,
        offset=0,
        timestamp_ms=None,
        at_ms=0,
        version="",
        truncated_from=None,
        sha256=None,
        dropped="",
        last_offset=None,
        history=[],
        own_headers=[],
    )


@pytest.mark.parametrize(
    ("value", "key", "found"),
    [
        (b'{"card": 37}', b"x", True),
        (b'{"card": "37"}', b"x", True),
        (b'{"deep": [{"card": 37}]}', b"x", True),
        (b'{"card": 37, ', b"x", True),
        (b"card=37;amount=2", b"x", True),
        (b'{"card": 370}', b"x", False),
        (b'{"card": 37.5', b"x", False),
        (b'{"amount": 37}', b"x", False),
        (b"garbage", b"37", True),
        (b"garbage", b"370", False),
        (b"[" * 100_000, b"x", False),
        (b"\xff\xfe", None, False),
    ],
)
def test_whose_letter_it_is(value: bytes, key: bytes | None, found: bool) -> None:
    assert Mentions("card", "37", is_key=True)(letter_of(value, key)) is found


@pytest.fixture
def world(
    kafka: str, make_topics: Callable[..., list[str]]
) -> tuple[DeadLetterReader, AdminClient, str]:
    """Thirty letters of three cards in two partitions."""
    letters, events = make_topics("letters", "events", partitions=2)
    producer = Producer({"bootstrap.servers": kafka})
    for i in range(30):
        original = Message(
            topic=events,
            partition=0,
            offset=i,
            timestamp=(1, 1_000),
            key=b"k",
            value=json.dumps({"card": i % 3, "n": i}).encode(),
            headers=[("trace", b"%d" % i)],
        )
        rejected = Rejected(0, Reason.MISSING_FIELD, "amount", f"detail {i}")
        letter = dead_letter(original, rejected, 1_000_000 + i, 10_000)
        producer.produce(letters, letter.value, letter.key, i % 2, headers=letter.headers)
    assert producer.flush(60) == 0
    settings = KafkaSettings(bootstrap_servers=kafka)
    return DeadLetterReader(settings, letters), AdminClient({"bootstrap.servers": kafka}), events


def held(box: DeadLetterReader, admin: AdminClient) -> list[tuple[Any, ...]]:
    wait_until_settled(admin, box.topic)
    return sorted(
        (
            json.loads(stored.letter.value or b"")["n"],
            stored.letter.headers,
            stored.letter.own_headers,
            stored.place.partition,
            stored.requeued_ms is not None,
        )
        for stored in box.letters(box.marks())
    )


def of_card(number: int) -> Mentions:
    return Mentions("card", str(number), is_key=False)


def test_his_letters_go_and_all_others_stay_as_they_were(
    world: tuple[DeadLetterReader, AdminClient, str],
) -> None:
    box, admin, _ = world
    some = Selection(reasons=frozenset(["missing_field"]), from_ms=1_000_005, to_ms=1_000_020)
    Requeuer(box, admin, some).run(Event())
    before = held(box, admin)
    plan = Eraser(box, admin, of_card(1)).plan()
    assert (plan.letters, held(box, admin)) == (10, before), "a plan changes nothing"
    assert Eraser(box, admin, of_card(1)).run().letters == 10
    after = held(box, admin)
    assert after == [each for each in before if each[0] % 3 != 1]
    assert any(each[-1] for each in after), "what was sent again is known to have gone"
    assert Requeuer(box, admin, Selection()).run(Event()).total == sum(not e[-1] for e in after)
    assert Eraser(box, admin, of_card(1)).run().letters == 0


def test_what_was_cut_off_in_the_midst_is_done_by_the_next_run(
    world: tuple[DeadLetterReader, AdminClient, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    box, admin, _ = world
    before = held(box, admin)
    monkeypatch.setattr(AdminClient, "delete_records", _killed, raising=False)
    with pytest.raises(KeyboardInterrupt):
        Eraser(box, admin, of_card(2)).run()
    monkeypatch.undo()
    assert len(held(box, admin)) > len(before), "written again, and not yet deleted"
    Eraser(box, admin, of_card(2)).run()
    assert held(box, admin) == [each for each in before if each[0] % 3 != 2]


def _killed(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt
