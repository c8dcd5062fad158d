"""Whose commands count, where the settings name keys."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from inference.control.commands import (
    CHAMPION_KEY,
    POLICY_KEY,
    ChampionCommand,
    Command,
    ModelVersion,
    PolicyCommand,
    PolicyVersion,
    Withdrawal,
    encode,
)
from inference.control.signatures import CommandKeys, UntrustedCommandError
from inference.control.standing import Standing
from inference.policy.policy import PolicySettings
from streams.base.signing import Signer, TrustedKey, open_signer
from streams.kafka.records.control_topic import ControlRecord

TOPIC = "weir.control"
A, B = (ModelVersion(version=number, package=f"{number}" * 64) for number in (1, 2))
ALL = frozenset({"champion", "policy", "package"})


class Desk:
    """Ada may command everything, Bob only policies; Eve's key is known to nobody."""

    def __init__(self, folder: Path) -> None:
        self.signers = {name: open_signer(folder / name) for name in ("ada", "bob", "eve")}
        self.trusted = {
            "ada": TrustedKey(self.signers["ada"].public, ALL),
            "bob": TrustedKey(self.signers["bob"].public, frozenset({"policy"})),
        }
        self.standing = Standing(CommandKeys(TOPIC, trusted=self.trusted))
        self.offset = 0

    def keys_of(self, name: str | None, topic: str = TOPIC) -> CommandKeys:
        signer: Signer | None = None if name is None else self.signers[name]
        return CommandKeys(topic, signer, self.trusted)

    def record(
        self, key: str, command: Command | Withdrawal, by: str | None, topic: str = TOPIC
    ) -> ControlRecord:
        self.offset += 1
        value = encode(command)
        headers = self.keys_of(by, topic).headers(key, value)
        return ControlRecord(key, value, 0, self.offset, tuple(headers))

    def refusal(self, record: ControlRecord) -> str:
        with pytest.raises(UntrustedCommandError) as refused:
            self.standing.admit(record)
        return str(refused.value)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def champion(model: ModelVersion, by: str, at: int, expects: Any = "any") -> ChampionCommand:
    return ChampionCommand(model=model, expects=expects, by=by, at=at)


def policy(version: str, by: str, at: int, expects: Any = "any") -> PolicyCommand:
    return PolicyCommand(policy=PolicySettings(version=version), expects=expects, by=by, at=at)


def test_what_is_signed_by_who_may_counts(desk: Desk) -> None:
    assert desk.standing.counts(desk.record(CHAMPION_KEY, champion(A, "ada", 1), "ada"))
    assert desk.standing.counts(desk.record(POLICY_KEY, policy("2", "bob", 1), "bob"))
    assert desk.standing.counts(desk.record(CHAMPION_KEY, champion(B, "ada", 2, A), "ada"))


def test_what_nobody_signed_or_somebody_else_changes_nothing(desk: Desk) -> None:
    desk.standing.admit(desk.record(CHAMPION_KEY, champion(A, "ada", 1), "ada"))
    assert "is not signed" in desk.refusal(desk.record(CHAMPION_KEY, champion(B, "ada", 2), None))
    assert "no valid signature" in desk.refusal(
        desk.record(CHAMPION_KEY, champion(B, "eve", 2), "eve")
    )
    assert "bob signed" in desk.refusal(desk.record(CHAMPION_KEY, champion(B, "bob", 2), "bob"))
    assert desk.standing.counts(desk.record(CHAMPION_KEY, champion(B, "ada", 2, A), "ada"))


def test_nobody_signs_in_another_name(desk: Desk) -> None:
    assert "'bob' signed it" in desk.refusal(desk.record(POLICY_KEY, policy("2", "ada", 1), "bob"))


def _of_another_topic(desk: Desk, record: ControlRecord) -> ControlRecord:
    return desk.record(POLICY_KEY, policy("2", "ada", 5), "ada", topic="test.control")


def _under_another_key(desk: Desk, record: ControlRecord) -> ControlRecord:
    return replace(record, key=CHAMPION_KEY)


def _with_another_value(desk: Desk, record: ControlRecord) -> ControlRecord:
    said = json.loads(record.value or b"")
    said["policy"]["fallback"] = "approve"
    return replace(record, value=json.dumps(said).encode())


def _without_a_value(desk: Desk, record: ControlRecord) -> ControlRecord:
    return replace(record, value=None)


def _with_a_torn_signature(desk: Desk, record: ControlRecord) -> ControlRecord:
    return replace(record, headers=tuple((name, part[:40]) for name, part in record.headers))


def _with_garbage_for_headers(desk: Desk, record: ControlRecord) -> ControlRecord:
    names = [name for name, _ in record.headers]
    return replace(record, headers=tuple((name, b"\xff\x00") for name in names))


@pytest.mark.parametrize(
    "forged",
    [
        _of_another_topic,
        _under_another_key,
        _with_another_value,
        _without_a_value,
        _with_a_torn_signature,
        _with_garbage_for_headers,
    ],
)
def test_a_signature_is_worth_nothing_elsewhere(
    desk: Desk, forged: Callable[[Desk, ControlRecord], ControlRecord]
) -> None:
    record = desk.record(POLICY_KEY, policy("2", "ada", 5), "ada")
    desk.refusal(forged(desk, record))
    assert desk.standing.counts(record)


def test_an_old_command_does_not_count_once_more(desk: Desk) -> None:
    """From A to B and back: who has no key can't write the way to B again."""
    to_b = desk.record(CHAMPION_KEY, champion(B, "ada", 2, A), "ada")
    for record in (
        desk.record(CHAMPION_KEY, champion(A, "ada", 1), "ada"),
        to_b,
        desk.record(CHAMPION_KEY, champion(A, "ada", 3, B), "ada"),
    ):
        assert desk.standing.counts(record)
    assert "somebody wrote an old command once more" in desk.refusal(replace(to_b, offset=9))


def test_what_stands_counts_once_more_and_changes_nothing(desk: Desk) -> None:
    stands = desk.record(CHAMPION_KEY, champion(B, "ada", 2, A), "ada")
    for record in (stands, replace(stands, offset=7)):
        assert desk.standing.counts(record)
    assert desk.standing.counts(desk.record(CHAMPION_KEY, champion(A, "ada", 3, B), "ada"))


def test_a_withdrawal_is_signed_like_a_command(desk: Desk) -> None:
    two = PolicyVersion(version="2")
    desk.standing.admit(desk.record(POLICY_KEY, policy("2", "ada", 1), "ada"))
    taken_back = Withdrawal(expects=two, by="ada", at=2)
    desk.refusal(desk.record(POLICY_KEY, taken_back, None))
    assert desk.standing.counts(desk.record(POLICY_KEY, taken_back, "ada"))
    assert desk.standing.counts(desk.record(POLICY_KEY, policy("3", "ada", 3, None), "ada"))


def test_where_nobody_is_named_all_count(desk: Desk) -> None:
    standing = Standing(CommandKeys(TOPIC))
    assert standing.counts(desk.record(CHAMPION_KEY, champion(A, "anybody", 1), None))
    assert standing.counts(desk.record(CHAMPION_KEY, champion(B, "eve", 1), "eve"))
    assert standing.counts(ControlRecord(CHAMPION_KEY, None, 0, 9))
