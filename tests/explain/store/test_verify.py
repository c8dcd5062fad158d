"""Tampering: whatever is done to a store, the first place where it was done is named."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store_world import SIGNER, T0, TRUSTED, appender, open_store, record

from explain.store.acts import add_act
from explain.store.anchors import export_line, stored_anchors
from explain.store.chain import link_hash
from explain.store.checking.verification import Report, verify
from explain.store.errors import StoreError
from explain.store.faults import Fault
from explain.store.keys import Trusted
from explain.store.records import keys_of
from streams.base.signing import open_signer

RECORDS, EVERY, SIGNED = 12, 4, 10
"""Anchors stand at 4 and 10: two records came after the last one."""

EVERY_BYTE = pytest.mark.parametrize(
    "stride", [11, pytest.param(1, marks=pytest.mark.exhaustive)], ids=["some", "all"]
)
Tamper = Callable[[sqlite3.Connection], object]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store, and the exported file of its anchors."""
    folder = tmp_path_factory.mktemp("whole")
    with open_store(folder) as database:
        ours = appender(database, every=EVERY)
        for first, last in ((0, 4), (4, 7), (7, 10), (10, 12)):
            ours.append([record(number) for number in range(first, last)])
        for who in ("ada", "bob"):
            with database.writing() as connection:  # no anchor vouches for these
                what = {"outcome": "review", "limit": 100}
                store = database.id
                add_act(connection, store, "read", who=who, now_ms=T0, what=what, count=6, note="")
        with database.reading() as connection:
            lines = map(export_line, stored_anchors(connection))
            (folder / "anchors.jsonl").write_bytes(b"".join(lines))
    with closing(sqlite3.connect(folder / "explanations.db")) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert database.execute("SELECT sequence FROM weir_anchors").fetchall() == [(4,), (10,)]
    return folder


@pytest.fixture
def tampered(whole: Path, tmp_path: Path) -> Callable[..., Report]:
    """Return a function that does something to a copy of the store, and verifies it."""

    def tamper(do: Tamper, copy: Path | None = None, trusted: Trusted = TRUSTED) -> Report:
        shutil.copy(whole / "explanations.db", tmp_path)
        with closing(sqlite3.connect(tmp_path / "explanations.db")) as raw:
            do(raw)
            raw.commit()
        with open_store(tmp_path) as database:
            return verify(database, trusted, copy)

    return tamper


def first(report: Report) -> Fault:
    assert not report.whole
    return report.faults[0]


def flip(value: bytes, byte: int, bits: int = 1) -> bytes:
    return value[:byte] + bytes([value[byte] ^ bits]) + value[byte + 1 :]


def sql(*statements: str) -> Tamper:
    return lambda raw: [raw.execute(each) for each in statements]


def renumber(raw: sqlite3.Connection, start: int, by: int) -> None:
    """Move all rows from `start` on."""
    raw.execute("UPDATE weir_records SET sequence = -sequence WHERE sequence >= ?", (start,))
    raw.execute("UPDATE weir_records SET sequence = -sequence + ? WHERE sequence < 0", (by,))


def row(raw: sqlite3.Connection, sequence: int) -> tuple:
    return raw.execute(
        "SELECT previous, hash, body, id FROM weir_records WHERE sequence = ?", (sequence,)
    ).fetchone()


def forge(raw: sqlite3.Connection, sequence: int, linked: bool, number: int = 777) -> None:
    """Insert a row at a free place; `linked`: with the hashes that it should have."""
    previous = row(raw, sequence - 1)[1] if sequence > 1 else bytes(32)
    body = record(number)
    link = link_hash(sequence, previous, body) if linked else bytes(32)
    forged = (sequence, previous, link, body, *keys_of(body))
    raw.execute(f"INSERT INTO weir_records VALUES ({', '.join('?' * len(forged))})", forged)


def name(number: int) -> str:
    """The id of the record that was appended as row `number`."""
    return record(number - 1).split(b'"id":"')[1][:32].decode()


def rehash(raw: sqlite3.Connection, start: int, stop: int) -> None:
    """Compute the links of rows `start` to `stop` anew."""
    for sequence in range(start, stop + 1):
        previous = row(raw, sequence - 1)[1]
        new = link_hash(sequence, previous, row(raw, sequence)[2])
        raw.execute(
            "UPDATE weir_records SET previous = ?, hash = ? WHERE sequence = ?",
            (previous, new, sequence),
        )


def test_what_nobody_touched_is_whole(whole: Path, tampered: Callable[..., Report]) -> None:
    report = tampered(sql(), whole / "anchors.jsonl")
    assert report.whole
    assert (report.records, report.acts, report.anchors, report.unanchored) == (12, 2, 2, 2)


@EVERY_BYTE
def test_every_byte_of_a_record_and_of_its_hashes_counts(
    tmp_path: Path, whole: Path, stride: int
) -> None:
    shutil.copy(whole / "explanations.db", tmp_path)
    with (
        closing(sqlite3.connect(tmp_path / "explanations.db")) as raw,
        open_store(tmp_path) as database,
    ):
        previous, link, body, identity = row(raw, 6)
        for column, value in (("body", body), ("previous", previous), ("hash", link)):
            update = f"UPDATE weir_records SET {column} = ? WHERE sequence = 6"
            for byte in range(0, len(value), stride):
                raw.execute(update, (flip(value, byte, 1 << byte % 8),))
                raw.commit()
                fault = first(verify(database, TRUSTED))
                assert (fault.part, fault.kind, fault.sequence) == ("records", "changed", 6)
                assert fault.id == identity
                assert {"body": "bytes do not", "previous": "link", "hash": "its hash was"}[
                    column
                ] in fault.detail
            raw.execute(update, (value,))
            raw.commit()
        assert verify(database, TRUSTED).whole


@pytest.mark.parametrize("number", [1, 4, 5, 11, 12])
@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("id", "'11111111111111111111111111111111'"),
        ("event_id", "'7000'"),
        ("event_key", "''"),
        ("event_time", "event_time + 1"),
        ("outcome", "'approve'"),
        ("package", "upper(package)"),
        ("body", "17"),
        ("body", "'text'"),
        ("hash", "x''"),
        ("previous", "3.5"),
        ("hash", "10000000000"),
        ("body", "x''"),
    ],
)
def test_every_column_counts(
    tampered: Callable[..., Report], number: int, column: str, value: str
) -> None:
    report = tampered(sql(f"UPDATE weir_records SET {column} = {value} WHERE sequence = {number}"))
    fault = first(report)
    assert (fault.kind, fault.sequence) == ("changed", number)
    assert report.records == number - 1


@pytest.mark.parametrize(
    ("do", "kind", "sequence"),
    [
        (sql("DELETE FROM weir_records WHERE sequence = 1"), "removed", 1),
        (sql("DELETE FROM weir_records WHERE sequence = 6"), "removed", 6),
        (sql("DELETE FROM weir_records WHERE sequence BETWEEN 3 AND 7"), "removed", 3),
        (sql("DELETE FROM weir_records WHERE sequence = 10"), "removed", 10),
        (sql("DELETE FROM weir_records WHERE sequence > 9"), "truncated", 10),
        (sql("DELETE FROM weir_records"), "truncated", 1),
        (sql("UPDATE weir_records SET sequence = 99 WHERE sequence = 6"), "reordered", 6),
        (sql("UPDATE weir_records SET sequence = 0 WHERE sequence = 6"), "inserted", 0),
        (sql("UPDATE weir_records SET sequence = -7 WHERE sequence = 1"), "inserted", -7),
        (
            sql(
                "UPDATE weir_records SET sequence = 99 WHERE sequence = 3",
                "UPDATE weir_records SET sequence = 3 WHERE sequence = 9",
                "UPDATE weir_records SET sequence = 9 WHERE sequence = 99",
            ),
            "reordered",
            3,
        ),
        (lambda raw: (forge(raw, 13, False),), "changed", 13),
        (lambda raw: (renumber(raw, 6, 1), forge(raw, 6, False)), "inserted", 6),
        (lambda raw: (renumber(raw, 6, 1), forge(raw, 6, True)), "inserted", 6),
        (lambda raw: (renumber(raw, 1, 1), forge(raw, 1, False)), "inserted", 1),
        (
            lambda raw: (renumber(raw, 6, 2), forge(raw, 6, True), forge(raw, 7, True, 778)),
            "inserted",
            6,
        ),
        (
            lambda raw: (
                raw.execute("DELETE FROM weir_records WHERE sequence = 6"),
                renumber(raw, 7, -1),
            ),
            "removed",
            6,
        ),
    ],
)
def test_rows_that_are_gone_new_or_elsewhere_are_named(
    tampered: Callable[..., Report], do: Tamper, kind: str, sequence: int
) -> None:
    fault = first(tampered(do))
    assert (fault.part, fault.kind, fault.sequence) == ("records", kind, sequence), fault


def test_swapped_bodies_and_a_row_in_anothers_place(tampered: Callable[..., Report]) -> None:
    swap = (
        "UPDATE weir_records SET body = (SELECT body FROM weir_records b WHERE b.sequence = "
        "CASE weir_records.sequence WHEN 3 THEN 9 ELSE 3 END) WHERE sequence IN (3, 9)"
    )
    fault = first(tampered(sql(swap)))
    assert (fault.kind, fault.sequence, fault.id) == ("changed", 3, name(3))
    moved = [
        "DELETE FROM weir_records WHERE sequence = 3",
        "UPDATE weir_records SET sequence = 3 WHERE sequence = 9",
    ]
    fault = first(tampered(sql(*moved)))
    assert (fault.kind, fault.sequence) == ("removed", 3)


def test_hashes_that_were_computed_anew(tampered: Callable[..., Report]) -> None:
    def replace(sequence: int, until: int) -> Tamper:
        def do(raw: sqlite3.Connection) -> None:
            body = record(sequence - 1, model__version=2)
            raw.execute("UPDATE weir_records SET body = ? WHERE sequence = ?", (body, sequence))
            rehash(raw, sequence, until)

        return do

    fault = first(tampered(replace(6, 6)))  # its own only: the next row gives it away
    assert (fault.kind, fault.sequence, fault.id) == ("changed", 6, name(6))
    for anchored in (4, 10):
        fault = first(tampered(replace(anchored, anchored)))
        assert (fault.kind, fault.sequence, fault.id) == ("changed", anchored, name(anchored))
    report = tampered(replace(6, 6))
    assert (report.records, report.others, report.other_count) == (5, (), 0)
    fault = first(tampered(replace(6, 8)))  # as far as one can tell
    assert (fault.kind, fault.sequence) == ("changed", 8)
    assert "from 5 on" in fault.detail
    fault = first(tampered(replace(6, 12)))  # all of them: the anchor gives it away
    assert (fault.kind, fault.sequence) == ("rewritten", 5)
    assert "rows 5 to 10" in fault.detail
    fault = first(tampered(replace(5, 4)))
    assert (fault.kind, fault.sequence) == ("changed", 5)
    report = tampered(replace(11, 12))  # what no anchor vouches for: docs/audit.md
    assert report.whole
    assert report.unanchored == 2


def test_all_places_are_found_and_nothing_else(tampered: Callable[..., Report]) -> None:
    def do(raw: sqlite3.Connection) -> None:
        raw.execute("UPDATE weir_records SET body = x'00' WHERE sequence = 2")
        raw.execute("UPDATE weir_records SET hash = x'00' WHERE sequence = 4")
        raw.execute("DELETE FROM weir_records WHERE sequence IN (6, 7)")
        body = record(9, model__version=2)
        raw.execute("UPDATE weir_records SET body = ? WHERE sequence = 10", (body,))
        rehash(raw, 10, 10)
        raw.execute("UPDATE weir_records SET outcome = 'approve' WHERE sequence = 12")

    report = tampered(do)
    assert first(report).sequence == 2
    assert (report.others, report.other_count, report.records) == ((4, 6, 10, 12), 4, 1)


def test_the_log_of_acts_counts_as_much(tampered: Callable[..., Report]) -> None:
    for statement, kind, sequence in (
        (
            "UPDATE weir_acts SET body = replace(body, 'ada', 'eve') WHERE sequence = 1",
            "changed",
            1,
        ),
        ("DELETE FROM weir_acts WHERE sequence = 1", "removed", 1),
        ("UPDATE weir_acts SET kind = 'hold' WHERE sequence = 2", "changed", 2),
    ):
        fault = first(tampered(sql(statement)))
        assert (fault.part, fault.kind, fault.sequence) == ("acts", kind, sequence)


@EVERY_BYTE
def test_every_byte_of_an_anchor_counts(tmp_path: Path, whole: Path, stride: int) -> None:
    shutil.copy(whole / "explanations.db", tmp_path)
    kinds = set()
    with (
        closing(sqlite3.connect(tmp_path / "explanations.db")) as raw,
        open_store(tmp_path) as database,
    ):
        for column in ("body", "signature"):
            read = f"SELECT {column} FROM weir_anchors WHERE number = 2"
            update = f"UPDATE weir_anchors SET {column} = ? WHERE number = 2"
            (value,) = raw.execute(read).fetchone()
            for byte in range(0, len(value), stride):
                raw.execute(update, (flip(value, byte, 1 << byte % 7),))
                raw.commit()
                report = verify(database, TRUSTED)
                (fault,) = report.faults  # the chain is whole
                assert (fault.part, fault.sequence) == ("anchors", 2)
                assert (report.records, report.unanchored, report.anchors) == (12, 8, 1)
                kinds.add(fault.kind)
            raw.execute(update, (value,))
            raw.commit()
        assert kinds == {"changed", "signature", "key"}


@pytest.mark.parametrize(
    ("statement", "kind", "number"),
    [
        ("DELETE FROM weir_anchors WHERE number = 1", "removed", 1),
        ("UPDATE weir_anchors SET number = 5 WHERE number = 2", "removed", 2),
        ("UPDATE weir_anchors SET number = 0 WHERE number = 1", "inserted", 0),
        ("UPDATE weir_anchors SET sequence = 9 WHERE number = 2", "changed", 2),
        ("UPDATE weir_anchors SET signature = 'x'", "signature", 1),
        ("UPDATE weir_anchors SET body = 4", "changed", 1),
    ],
)
def test_anchors_that_are_gone_or_changed_are_named(
    tampered: Callable[..., Report], statement: str, kind: str, number: int
) -> None:
    fault = first(tampered(sql(statement)))
    assert (fault.part, fault.kind, fault.sequence) == ("anchors", kind, number), fault


def test_a_copy_of_the_anchors_tells_of_an_end_that_was_cut_off_with_them(
    whole: Path, tampered: Callable[..., Report], tmp_path: Path
) -> None:
    cut = sql(
        "DELETE FROM weir_records WHERE sequence > 4", "DELETE FROM weir_anchors WHERE number > 1"
    )
    assert tampered(cut).whole  # by itself it looks whole
    report = tampered(cut, whole / "anchors.jsonl")
    assert [(fault.part, fault.kind, fault.sequence) for fault in report.faults] == [
        ("records", "truncated", 5),
        ("anchors", "removed", 2),
    ]
    one, two = (whole / "anchors.jsonl").read_text().splitlines()
    bad = tmp_path / "copy.jsonl"
    for text, kind, number in (
        (f"{two}\n{one}\n", "reordered", 1),
        (one.replace('"signature":"', '"signature":"00'), "signature", 1),
        (two.replace(f'"time":{T0}', f'"time":{T0 + 1}'), "signature", 2),
    ):
        bad.write_text(text)
        report = tampered(sql(), bad)
        assert [(fault.part, fault.kind, fault.sequence) for fault in report.faults] == [
            ("copy", kind, number)
        ]
    bad.write_text("\n")
    with pytest.raises(StoreError, match=r"copy.jsonl holds no anchor"):
        tampered(sql(), bad)
    bad.write_text(f"{one}\nhello\n")
    with pytest.raises(StoreError, match=r"copy.jsonl:2: no anchor"):
        tampered(sql(), bad)
    # A copy that a tool has laid out anew is the same.
    bad.write_text(one.replace(":", ": ").replace(",", ", "))
    assert tampered(sql(), bad).whole


def test_anchors_of_another_key_vouch_for_nothing(
    tampered: Callable[..., Report], tmp_path: Path
) -> None:
    other = open_signer(tmp_path / "other.pem")
    report = tampered(sql(), trusted=Trusted([other.public]))
    (fault,) = report.faults
    assert (fault.part, fault.kind, report.anchors, report.records) == ("anchors", "key", 0, 12)
    assert tampered(sql(), trusted=Trusted([other.public, SIGNER.public])).whole


places = st.integers(1, RECORDS)
deeds = st.one_of(
    st.tuples(st.just("body"), places, st.integers(0), st.integers(1, 255)),
    st.tuples(st.just("remove"), places, st.booleans(), st.none()),
    st.tuples(st.just("swap"), places, places, st.none()),
    st.tuples(st.just("insert"), places, st.booleans(), st.none()),
    st.tuples(st.just("move"), places, st.integers(-3, 20), st.none()),
)


@given(deed=deeds)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_deed_is_found_where_it_was_done(deed: tuple, tampered: Callable[..., Report]) -> None:
    kind, place, how, more = deed
    place_of = {"swap": lambda: min(place, how), "move": lambda: min(place, how)}
    expected = place_of.get(kind, lambda: place)()
    if kind in ("swap", "move") and place == how:
        return

    def do(raw: sqlite3.Connection) -> object:
        if kind == "body":
            body = row(raw, place)[2]
            raw.execute(
                "UPDATE weir_records SET body = ? WHERE sequence = ?",
                (flip(body, how % len(body), more), place),
            )
        elif kind == "remove":
            raw.execute("DELETE FROM weir_records WHERE sequence = ?", (place,))
            if how:
                renumber(raw, place + 1, -1)
        elif kind == "insert":
            renumber(raw, place, 1)
            forge(raw, place, how and place > 1)
        elif kind == "move":
            raw.execute("DELETE FROM weir_records WHERE sequence = ?", (how,))
            raw.execute("UPDATE weir_records SET sequence = ? WHERE sequence = ?", (how, place))
        else:
            for old, new in ((place, 99), (how, place), (99, how)):
                raw.execute("UPDATE weir_records SET sequence = ? WHERE sequence = ?", (new, old))
        return None

    report = tampered(do)
    if kind == "remove" and place == RECORDS:
        assert report.whole  # no anchor vouches for the end yet
        return
    fault = first(report)
    assert (fault.part, fault.sequence) == ("records", expected), fault
