"""What stands for a subject: always the same, and nothing without the key."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explain.writing.subject import Subject, open_place

KEY = bytes(range(32))
PARTITIONS = st.integers(0, 2**31 - 1)
OFFSETS = st.integers(0, 2**63 - 1)


def test_the_bytes_are_those_of_records_that_are_stored() -> None:
    subject = Subject(b"card 5", KEY)
    assert subject.token == "d47beb15e9ecbf1dfef525e88636f14ceddec9a1919cc1ac3e104dbb32d01c01"
    sealed = subject.seal("weir.events", 3, 29_311)
    assert sealed == "77fac895dce55c1888c8ef4d3814635b48843493d88a2c6f8d3c77b6"


@given(PARTITIONS, OFFSETS)
def test_a_place_is_sealed_to_one_text_of_one_length_and_opened_again(
    partition: int, offset: int
) -> None:
    sealed = Subject(b"card 5", KEY).seal("weir.events", partition, offset)
    assert sealed == Subject(b"card 5", KEY).seal("weir.events", partition, offset)
    assert len(sealed) == 56
    assert open_place(KEY, "weir.events", sealed) == (partition, offset)


@pytest.mark.parametrize(
    ("key", "topic", "at"),
    [(bytes(32), "weir.events", 0), (KEY, "weir.event", 0), (KEY, "weir.events", 1)],
    ids=["key", "topic", "place"],
)
def test_another_key_another_topic_and_a_changed_place_open_nothing(
    key: bytes, topic: str, at: int
) -> None:
    sealed = bytearray.fromhex(Subject(b"", KEY).seal("weir.events", 3, 29_311))
    sealed[0] ^= at
    assert open_place(key, topic, sealed.hex()) is None


def test_places_that_differ_in_anything_are_sealed_otherwise() -> None:
    one, other = Subject(b"", KEY), Subject(b"", bytes(32))
    sealed = {
        one.seal("e", 0, 1),
        one.seal("e", 1, 0),
        one.seal("e", 1, 1),
        one.seal("f", 0, 1),
        other.seal("e", 0, 1),
    }
    assert len(sealed) == 5


def test_a_key_is_not_shown() -> None:
    shown = repr(Subject(b"card 5", KEY))
    assert KEY.hex() not in shown
    assert repr(KEY)[2:-1] not in shown
