"""Whose anchors count for how long, and times that run forwards."""

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from store_world import DAY_MS, SIGNER, T0, TRUSTED, Clock, appender, open_store, record

from explain.store.acts import add_act
from explain.store.appending import Appender
from explain.store.checking.anchor_check import refuse_retired
from explain.store.checking.verification import verify
from explain.store.database import Database
from explain.store.errors import StoreError, TamperedError
from explain.store.faults import Fault
from explain.store.keys import Trusted, TrustedKey
from explain.store.people.retention import Retention
from explain.store.settings import StoreSettings, TrustedKeyEntry
from streams.base.signing import Signer

OLD, OTHER = (Signer(Ed25519PrivateKey.generate()) for _ in range(2))
HOUR_MS = 3_600_000


@pytest.fixture
def sign(tmp_path: Path) -> Iterable[Callable[..., list[Fault]]]:
    """Return a function that has keys sign one anchor each, an hour apart, and verifies."""
    with open_store(tmp_path) as database:

        def append(*signers: Signer, trusted: Trusted) -> list[Fault]:
            for number, signer in enumerate(signers):
                clock = Clock(T0 + number * HOUR_MS)
                with_key = Appender(
                    database, signer, anchor_every=1, anchor_after_ms=0, clock=clock
                )
                with_key.append([record(number)])
            return list(verify(database, trusted).faults)

        yield append


def test_a_new_key_takes_the_place_of_the_old_one(sign: Callable[..., list[Fault]]) -> None:
    keys = Trusted([SIGNER.public, OTHER.public, OLD.public])
    assert sign(OLD, OLD, OTHER, SIGNER, SIGNER, trusted=keys) == []


@pytest.mark.parametrize(
    ("signers", "trusted", "number"),
    [
        # A former key after the one in use, even one that never signed before.
        ((SIGNER, OLD, SIGNER), [SIGNER.public, OLD.public], 2),
        ((OLD, SIGNER, OLD), [SIGNER.public, OLD.public], 3),
        # Nobody has said which of the former ones came first, but they come only once.
        ((OLD, OTHER, OLD, SIGNER), [SIGNER.public, OTHER.public, OLD.public], 3),
        # By numbers and by times.
        ((OLD, OLD), [SIGNER.public, TrustedKey(OLD.public, last=1)], 2),
        ((OLD, SIGNER), [TrustedKey(SIGNER.public, first=3), OLD.public], 2),
        ((OLD, OLD), [SIGNER.public, TrustedKey(OLD.public, to_ms=T0 + HOUR_MS)], 2),
        ((SIGNER, OTHER), [SIGNER.public, TrustedKey(OTHER.public, to_ms=T0, shares=True)], 2),
    ],
)
def test_a_retired_key_signs_nothing_new(
    sign: Callable[..., list[Fault]],
    signers: tuple[Signer, ...],
    trusted: list[TrustedKey],
    number: int,
) -> None:
    (fault,) = sign(*signers, trusted=Trusted(trusted))
    assert (fault.part, fault.kind, fault.sequence) == ("anchors", "key", number)


def test_keys_of_two_sinks_may_take_turns_where_that_is_said(
    sign: Callable[..., list[Fault]],
) -> None:
    turns = (SIGNER, OTHER, SIGNER, OTHER)
    shared = TrustedKey(OTHER.public, shares=True)
    assert sign(*turns, trusted=Trusted([SIGNER.public, shared])) == []
    assert (
        sign(*turns, trusted=Trusted([OTHER.public, TrustedKey(SIGNER.public, shares=True)])) == []
    )


def test_what_a_key_that_came_back_signed_vouches_for_nothing(
    sign: Callable[..., list[Fault]], tmp_path: Path
) -> None:
    sign(SIGNER, OLD, trusted=TRUSTED)
    with open_store(tmp_path) as database:
        report = verify(database, Trusted([SIGNER.public, OLD.public]))
    assert (report.anchors, report.unanchored) == (1, 1)


def test_a_sink_with_a_retired_key_does_not_start(
    sign: Callable[..., list[Fault]], tmp_path: Path
) -> None:
    def starts(database: Database, signer: Signer, *others: TrustedKey) -> None:
        with database.reading() as connection:
            refuse_retired(connection, Trusted([signer.public, *others]), signer, T0)

    sign(OLD, SIGNER, trusted=TRUSTED)
    with open_store(tmp_path) as database:
        starts(database, SIGNER)
        starts(database, OTHER)  # a new one
        starts(database, OLD, TrustedKey(SIGNER.public, shares=True))  # a second sink's
        with pytest.raises(StoreError, match=r"is a former one: key .* had taken its place"):
            starts(database, OLD)
        listed = Trusted([TrustedKey(SIGNER.public, last=2)])
        with (
            database.reading() as connection,
            pytest.raises(StoreError, match="is trusted for the anchors from 1 to 2 only"),
        ):
            refuse_retired(connection, listed, SIGNER, T0)


def test_settings_say_for_how_long_a_key_is_trusted(tmp_path: Path) -> None:
    file, own = tmp_path / "old.pem", StoreSettings().open_signer(tmp_path)
    file.write_text(OLD.public_pem())
    for entry, good, bad in (
        ({"until": 4}, (4, T0), (5, T0)),
        ({"since": 2, "until": 4}, (2, T0), (1, T0)),
        ({"until": "2026-01-01"}, (9, ms(2025, 12, 31)), (9, ms(2026, 1, 1))),
        ({"since": date(2026, 1, 1)}, (1, ms(2026, 1, 1)), (1, ms(2025, 12, 31))),
        ({"until": datetime(2026, 1, 1, tzinfo=UTC)}, (1, T0), (1, ms(2026, 1, 1))),
    ):
        listed = TrustedKeyEntry.model_validate({"file": file, **entry})
        trusted = StoreSettings(trusted_keys=(listed,)).trusted(tmp_path)
        assert trusted.in_use == own.id
        assert trusted.refusal(OLD.id, *good) is None, entry
        assert trusted.refusal(OLD.id, *bad) is not None, entry


def ms(year: int, month: int, day: int) -> int:
    return int(datetime(year, month, day, tzinfo=UTC).timestamp() * 1_000)


def test_times_that_go_back_or_are_to_come_are_named(tmp_path: Path) -> None:
    with open_store(tmp_path) as database:
        clock = Clock()
        ours = appender(database, every=1, clock=clock)

        def anchor_at(time_ms: int) -> list[tuple[str, str, int]]:
            clock.now = time_ms
            number = len(times)
            times.append(time_ms)
            ours.append([record(number)])
            return faults(database)

        times: list[int] = []
        assert anchor_at(T0) == []
        assert anchor_at(T0 - 299_000) == []  # clocks differ
        assert anchor_at(T0 - 301_000) == [("anchors", "time", 3)]
    with open_store(tmp_path / "other") as database:
        for number, time_ms in enumerate((T0, T0 + 5, T0 - HOUR_MS, T0 + 2 * HOUR_MS)):
            with database.writing() as connection:
                act(database, connection, time_ms)
            expected = {2: [("acts", "time", 3)], 3: [("acts", "time", 3)]}.get(number, [])
            assert faults(database) == expected
    with open_store(tmp_path / "third") as database:
        appender(database, every=1, clock=Clock(T0 + HOUR_MS)).append([record(0)])
        with database.writing() as connection:
            act(database, connection, T0 + HOUR_MS)
        assert faults(database) == [("acts", "time", 1), ("anchors", "time", 1)]


def act(database: Database, connection: object, time_ms: int) -> None:
    add_act(
        connection,  # type: ignore[arg-type]
        database.id,
        "read",
        who="ada",
        now_ms=time_ms,
        what={},
        count=0,
        note="",
    )


def faults(database: Database) -> list[tuple[str, str, int]]:
    found = verify(database, TRUSTED, clock=Clock(T0)).faults
    return [(each.part, each.kind, each.sequence) for each in found]


def test_a_clock_that_was_years_ahead_once_puts_off_no_anchor(tmp_path: Path) -> None:
    with open_store(tmp_path) as database:
        clock = Clock(4_000_000_000_000)
        ours = appender(database, every=1_000, after_ms=60_000, clock=clock)
        assert ours.append([record(0)]).anchor is not None
        clock.now = T0
        done = ours.append([record(1)])
        assert done.anchor is not None


def test_a_wrong_clock_hides_no_deed_and_stops_no_purge(tmp_path: Path) -> None:
    with open_store(tmp_path) as database:
        for number, time_ms in enumerate((T0, T0 - HOUR_MS, T0)):
            with database.writing() as connection:
                act(database, connection, time_ms)
            appender(database, every=1, clock=Clock(time_ms)).append([record(number)])
        wrong = [("acts", "time", 2), ("anchors", "time", 2)]
        assert faults(database) == wrong
        purged = Retention(database, "ada", Clock(T0)).purge(T0 + DAY_MS, SIGNER, TRUSTED)
        assert purged.records == 1
        assert faults(database) == wrong
        with database.writing() as connection:
            connection.exec_driver_sql("UPDATE weir_acts SET body = '{}' WHERE sequence = 3")
            connection.exec_driver_sql("UPDATE weir_anchors SET signature = 'x' WHERE number = 3")
        assert [(each[0], each[1]) for each in faults(database)] == [
            ("acts", "changed"),
            ("acts", "time"),
            ("anchors", "signature"),
            ("anchors", "time"),
        ]
        with pytest.raises(TamperedError, match="nothing was removed"):
            Retention(database, "ada").purge(T0 + 9 * DAY_MS, SIGNER, TRUSTED)
