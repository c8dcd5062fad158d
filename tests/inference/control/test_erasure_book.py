"""Whose erasures count, and which."""

import json
import logging
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from inference.control.commands import encode
from inference.control.erasures import ErasureBook, ErasureCommand, new_erasure_key
from inference.control.signatures import CommandKeys
from streams.base.signing import Signer, TrustedKey, open_signer
from streams.features.erasures import Erasures
from streams.kafka.records.control_topic import ControlRecord

TOPIC = "weir.control"
NOW = 1_800_000_000_000
MINUTE = 60_000


class Desk:
    """Ada may erase, Bob only set policies; Eve's key is known to nobody."""

    def __init__(self, folder: Path, *, named: bool = True) -> None:
        self.signers = {name: open_signer(folder / name) for name in ("ada", "bob", "eve")}
        self.trusted = {
            "ada": TrustedKey(self.signers["ada"].public, frozenset({"erase"})),
            "bob": TrustedKey(self.signers["bob"].public, frozenset({"policy"})),
        }
        self.erasures, self.outcomes = Erasures(), Counter[str]()
        self.book = ErasureBook(
            CommandKeys(TOPIC, trusted=self.trusted if named else {}),
            {"card": "int", "name": "string", "amount": "float"},
            self.erasures,
            lambda: NOW,
            lambda outcome: self.outcomes.update([outcome]),
        )

    def record(self, signed_by: str | None = "ada", **said: Any) -> ControlRecord:
        values: dict[str, Any] = {
            "field": "card",
            "value": 7,
            "before": NOW + MINUTE,
            "until": None,
            "by": "ada",
            "at": NOW,
        }
        key, value = new_erasure_key(), encode(ErasureCommand(**values | said))
        signer: Signer | None = self.signers[signed_by] if signed_by else None
        headers = CommandKeys(TOPIC, signer).headers(key, value)
        return ControlRecord(key, value, 0, 1, tuple(headers))

    def hear(self, record: ControlRecord) -> str:
        before = self.outcomes.copy()
        self.book.hear(record)
        (outcome,) = (self.outcomes - before).elements() or ("nothing",)
        return outcome


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_what_is_said_is_obeyed_and_the_later_cut_counts(desk: Desk) -> None:
    assert desk.hear(desk.record()) == "in force"
    assert desk.hear(desk.record(value="ada", field="name")) == "in force"
    assert desk.hear(desk.record(before=5)) == "in force"
    assert desk.erasures.of("card") == {7: NOW + MINUTE}
    assert desk.erasures.of("name") == {"ada": NOW + MINUTE}
    assert len(desk.erasures) == 2


@pytest.mark.parametrize(
    ("field", "value"), [("card", "7"), ("card", 2**63), ("name", 7), ("amount", 7), ("nothing", 7)]
)
def test_what_no_event_can_hold_is_refused(desk: Desk, field: str, value: Any) -> None:
    """It would be looked for in each batch, among values of another kind."""
    assert desk.hear(desk.record(field=field, value=value)) == "refused"
    assert len(desk.erasures) == 0


def test_what_has_nothing_left_to_do_is_passed(desk: Desk) -> None:
    assert desk.hear(desk.record(until=NOW - 1)) == "expired"
    assert desk.hear(desk.record(until=NOW + 1)) == "in force"


def test_who_may_not_erase_erases_nothing(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    good = desk.record()
    moved = ControlRecord(new_erasure_key(), good.value, 0, 1, good.headers)
    forged = [
        (desk.record(None), "is not signed"),
        (desk.record("eve"), "no valid signature"),
        (desk.record("bob", by="bob"), "may only policy"),
        (desk.record("ada", by="bob"), "says that it is by 'bob', and 'ada' signed it"),
        (moved, "no valid signature"),
    ]
    with caplog.at_level(logging.ERROR):
        for record, why in forged:
            caplog.clear()
            assert desk.hear(record) == "refused"
            assert why in caplog.text
    assert len(desk.erasures) == 0


def test_nobody_is_left_out_for_what_is_to_come(desk: Desk, tmp_path: Path) -> None:
    """Else who steals a card would have it erased first, for a year ahead."""
    assert desk.hear(desk.record(before=NOW + 6 * MINUTE)) == "refused"
    year = 365 * 24 * 60 * MINUTE
    assert desk.hear(desk.record(before=NOW + year, at=NOW + year)) == "refused"
    assert len(desk.erasures) == 0
    assert Desk(tmp_path, named=False).hear(desk.record(before=NOW + year)) == "refused"


@pytest.mark.parametrize(
    "value",
    [b"", b"{}", b"\xff", b"[1]", b'{"format": 9}', b"[" * 100_000]
    + [
        json.dumps(
            {"field": "card", "value": value, "before": 1, "until": None, "by": "ada", "at": 1}
        ).encode()
        for value in (None, 1.5, [1], {"a": 1}, "x" * 10_001)
    ],
)
def test_what_is_no_erasure_is_refused(tmp_path: Path, value: bytes) -> None:
    desk = Desk(tmp_path, named=False)
    assert desk.hear(ControlRecord(new_erasure_key(), value, 0, 1)) == "refused"
    desk.book.hear(ControlRecord("champion", value, 0, 1))
    desk.book.hear(ControlRecord(new_erasure_key(), None, 0, 1))
    assert desk.outcomes.total() == 1
    assert len(desk.erasures) == 0
