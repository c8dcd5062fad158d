"""Which arms there are, by the control topic."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import ValidationError

from inference.control.canary import CANARY, ArmShare, CanaryBook, CanaryCommand
from inference.control.commands import ModelVersion, Withdrawal, encode
from inference.control.signatures import CommandKeys
from streams.base.signing import Signer, TrustedKey
from streams.kafka.records.control_topic import ControlRecord

MODEL = ModelVersion(version=2, package="b" * 64)


def command(*shares: float, at: int = 5, **values: Any) -> CanaryCommand:
    arms = tuple(
        ArmShare(name="canary" if not place else f"arm{place}", model=MODEL, share=share)
        for place, share in enumerate(shares or (0.1,))
    )
    given = {"experiment": "e", "champion": "a" * 64, "arms": arms, "begun": 1, "stepped": 1}
    return CanaryCommand(**given | {"by": "ada", "at": at} | values)


def record(said: CanaryCommand | Withdrawal | bytes | None, **headers: bytes) -> ControlRecord:
    value = said if said is None or isinstance(said, bytes) else encode(said)
    return ControlRecord(CANARY, value, 0, 7, tuple(headers.items()))


def test_the_latest_that_can_be_read_stands() -> None:
    book = CanaryBook(CommandKeys("control"))
    assert (book.said, book.since) == (None, 0)
    assert book.hear(record(command(0.1)))
    assert not book.hear(record(b"garbage"))
    assert not book.hear(ControlRecord("champion", b"{}", 0, 8))
    assert book.said == command(0.1)
    assert book.hear(record(Withdrawal(by="ada", note="enough", at=9)))
    assert book.said is None
    assert book.ended is not None
    assert (book.ended.note, book.since) == ("enough", 9)
    assert book.hear(record(None))
    assert book.since == 0


@pytest.mark.parametrize(
    ("shares", "values", "why"),
    [
        ((0.6, 0.5), {}, "sum of 1.1"),
        ((0.1, 0.1), {"name": "canary"}, "names of arms differ"),
        ((0.1,), {"name": "champion"}, "none is 'champion'"),
        ((-0.1,), {}, "greater than or equal to 0"),
        ((1.5,), {}, "less than or equal to 1"),
        ((0.1,), {"name": "\x1b[2J"}, "pattern"),
        ((0.1, 0.1, 0.1, 0.1), {}, "at most 3"),
    ],
)
def test_what_makes_no_sense_is_refused(
    shares: tuple[float, ...], values: dict[str, Any], why: str
) -> None:
    arms = [
        {"name": f"a{place}", "model": MODEL, "share": share} | values
        for place, share in enumerate(shares)
    ]
    with pytest.raises(ValidationError, match=why):
        command(arms=arms)


def test_a_step_changes_the_first_share_alone() -> None:
    before = command(0.1, 0.3, state="paused")
    after = before.stepped_to(0.5, "keeper", "all is well", 99)
    assert [arm.share for arm in after.arms] == [0.5, 0.3]
    assert (after.stepped, after.at, after.begun, after.state) == (99, 99, 1, "running")
    with pytest.raises(ValidationError, match=r"sum of 1\.1"):
        before.stepped_to(0.8, "keeper", "", 99)


def test_only_signed_ones_count_where_names_have_keys_and_no_old_one_again() -> None:
    signer, stranger = (Signer(Ed25519PrivateKey.generate()) for _ in range(2))
    trusted = {"ada": TrustedKey(signer.public, frozenset({"canary"}))}
    book = CanaryBook(CommandKeys("control", None, trusted))

    def signed(said: CanaryCommand, by: Signer) -> ControlRecord:
        value = encode(said)
        headers = CommandKeys("control", by, trusted).headers(CANARY, value)
        return ControlRecord(CANARY, value, 0, 7, tuple(headers))

    assert not book.hear(record(command()))
    assert not book.hear(signed(command(), stranger))
    assert not book.hear(signed(command(by="eve"), signer))
    first, second = signed(command(at=5), signer), signed(command(0.2, at=6), signer)
    assert book.hear(first)
    assert book.hear(second)
    assert not book.hear(first)
    assert book.said == command(0.2, at=6)
