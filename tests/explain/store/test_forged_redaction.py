"""What somebody without the key hides behind a redaction: nothing."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from redaction_world import TOKEN, change_before_a_redacted_row, faults, put, redact, rows, run
from store_world import T0, TRUSTED, appender, fill, open_store, record

from explain.store.acts import add_act
from explain.store.chain import genesis, link_hash
from explain.store.checking.verification import verify
from explain.store.database import Database
from explain.store.errors import TamperedError
from explain.store.records import Keys
from explain.store.redactions import seal_of


@pytest.fixture
def redacted(local: Database) -> Database:
    """A filled store without the records of TOKEN, and a few more behind."""
    redact(local)
    appender(local, every=5).append([record(number) for number in range(20, 25)])
    return local


@pytest.mark.parametrize("number", [1, 5, 6, 19, 20])
def test_a_body_that_is_gone_without_an_act_is_found(local: Database, number: int) -> None:
    run(
        local,
        "UPDATE weir_records SET body = x'', event_id = '', event_key = '' "
        f"WHERE sequence = {number}",
    )
    (fault,) = verify(local, TRUSTED).faults
    assert (fault.kind, fault.sequence) == ("changed", number)
    assert "its bytes were taken out, and no redaction that the key signed lists it" in fault.detail


@pytest.mark.parametrize("number", [2, 14, 20])
@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("id", "'11111111111111111111111111111111'"),
        ("event_id", "'7'"),
        ("event_key", f"'{TOKEN}'"),
        ("event_time", "event_time + 1"),
        ("event_time", "event_time + 0.5"),
        ("outcome", "'approve'"),
        ("package", "CAST(package AS BLOB)"),
        ("hash", "x'00'"),
        ("hash", "previous"),
        ("previous", "hash"),
        ("body", "x'00'"),
        ("body", "''"),
    ],
)
def test_all_that_stays_of_a_row_counts(
    redacted: Database, number: int, column: str, value: str
) -> None:
    run(redacted, f"UPDATE weir_records SET {column} = {value} WHERE sequence = {number}")
    assert faults(redacted)[0] == ("records", "changed", number)


@pytest.mark.parametrize(
    ("statements", "kind", "number"),
    [
        (["DELETE FROM weir_records WHERE sequence = 8"], "removed", 8),
        (["DELETE FROM weir_records WHERE sequence = 7"], "removed", 7),
        (["UPDATE weir_records SET sequence = 99 WHERE sequence = 8"], "reordered", 8),
        (
            [
                "UPDATE weir_records SET sequence = -8 WHERE sequence = 8",
                "UPDATE weir_records SET sequence = 8 WHERE sequence = 11",
                "UPDATE weir_records SET sequence = 11 WHERE sequence = -8",
            ],
            "reordered",
            8,
        ),
    ],
)
def test_redacted_rows_can_t_be_moved_or_removed(
    redacted: Database, statements: list[str], kind: str, number: int
) -> None:
    run(redacted, *statements)
    assert faults(redacted)[0] == ("records", kind, number)


def test_the_row_before_a_redacted_one_can_t_be_changed(redacted: Database) -> None:
    """The redacted row's hash can't be computed, so its link would tie it to anything."""
    change_before_a_redacted_row(redacted)
    (fault,) = verify(redacted, TRUSTED).faults
    assert (fault.part, fault.kind, fault.sequence) == ("records", "changed", 8)


def forged_seals(database: Database, number: int) -> dict[str, str]:
    """What an act has to list for a row, by all that anybody can compute."""
    row = rows(database)[number]
    columns = Keys(row.id, "", "", row.event_time, row.outcome, row.package)
    return {str(number): seal_of(number, row.previous, row.hash, columns).hex()}


def forge(database: Database, number: int, what: dict[str, Any]) -> None:
    """Empty a row, and append an act of it with all the right hashes, without the key."""
    run(
        database,
        "UPDATE weir_records SET body = x'', event_id = '', event_key = '' "
        f"WHERE sequence = {number}",
    )
    with database.writing() as connection:
        add_act(connection, database.id, "redact", who="ada", now_ms=T0, what=what, count=1)


def test_an_act_that_nobody_signed_hides_no_changed_record(redacted: Database) -> None:
    forge(redacted, 7, {"field": "customer_id", "rows": forged_seals(redacted, 7)})
    expected = [("records", "changed", 7), ("acts", "inserted", 2)]
    assert faults(redacted) == expected
    # Nor does it once the sink has signed for all the acts that it sees.
    assert appender(redacted).anchor() is not None
    assert faults(redacted) == expected
    with pytest.raises(TamperedError, match=r"nothing was erased.*record 7"):
        redact(redacted, "token-2")


def last_act(database: Database) -> tuple[int, bytes, bytes]:
    with database.reading() as connection:
        row = connection.exec_driver_sql(
            "SELECT sequence, hash, body FROM weir_acts ORDER BY sequence DESC LIMIT 1"
        ).one()
    return row.sequence, bytes(row.hash), bytes(row.body)


def put_act(database: Database, body: bytes) -> None:
    """Append an act, byte for byte, with all the right hashes."""
    number, previous, _ = last_act(database)
    row = (number + 1, previous, link_hash(number + 1, previous, body), body, "redact")
    with database.writing() as connection:
        connection.exec_driver_sql("INSERT INTO weir_acts VALUES (?, ?, ?, ?, ?)", row)


def test_an_old_act_that_is_put_in_again_is_found(redacted: Database) -> None:
    """Nobody can take out more, or change what was put back, in the name of an old act."""
    _, _, body = last_act(redacted)
    put_act(redacted, body)
    assert faults(redacted) == [("acts", "inserted", 2)]
    appender(redacted).anchor()
    assert faults(redacted) == [("acts", "inserted", 2)]
    # So is the anchor that was signed for it, put in again behind.
    run(
        redacted,
        "INSERT INTO weir_anchors SELECT (SELECT max(number) + 1 FROM weir_anchors), sequence, "
        "body, signature FROM weir_anchors WHERE CAST(body AS TEXT) LIKE '%redacts%'",
    )
    assert ("acts", "inserted", 2) in faults(redacted)
    assert ("anchors", "reordered", 8) in faults(redacted)


def test_an_act_with_other_rows_than_were_signed_is_found(redacted: Database) -> None:
    seals = forged_seals(redacted, 7)
    number, _, body = last_act(redacted)
    act = msgspec.json.decode(body)
    act["what"]["rows"].update(seals)
    forged = msgspec.json.encode(act, order="sorted")
    run(redacted, "UPDATE weir_records SET body = x'', event_id = '', event_key = '' "
        "WHERE sequence = 7")  # fmt: skip
    for own in (link_hash(number, genesis("acts", redacted.id).hash, forged), None):
        with redacted.writing() as connection:
            connection.exec_driver_sql("UPDATE weir_acts SET body = ?", (forged,))
            if own is not None:
                connection.exec_driver_sql("UPDATE weir_acts SET hash = ?", (own,))
        found = faults(redacted)
        # Not one of its rows counts any more.
        assert found[0] == ("records", "changed", 2)
        assert found[1][0] == "acts"


def test_an_act_of_another_store_is_none(redacted: Database, tmp_path: Path) -> None:
    with open_store(tmp_path / "other", f"sqlite:///{tmp_path / 'other.db'}") as other:
        fill(other)
        forge(other, 2, msgspec.json.decode(last_act(redacted)[2])["what"])
        assert faults(other) == [("records", "changed", 2), ("acts", "inserted", 1)]


def test_a_body_that_was_put_back_is_as_it_was_appended(redacted: Database) -> None:
    """A chain can't tell; but what is put back has to be what was appended."""
    kept = Keys(*rows(redacted)[8][4:])
    put = "UPDATE weir_records SET body = ?, event_id = '7', event_key = ? WHERE sequence = 8"
    with redacted.writing() as connection:
        connection.exec_driver_sql(put, (record(7), TOKEN))
    assert verify(redacted, TRUSTED).whole
    assert redact(redacted).records == 2  # and one that came since
    assert (verify(redacted, TRUSTED).whole, Keys(*rows(redacted)[8][4:])) == (True, kept)
    with redacted.writing() as connection:
        connection.exec_driver_sql(put, (record(7, model__version=2), TOKEN))
    assert faults(redacted) == [("records", "changed", 8)]


def test_rows_behind_one_another_that_were_all_redacted_hold_together(redacted: Database) -> None:
    for token in ("token-0", "token-1", "token-2"):
        redact(redacted, token)
    report = verify(redacted, TRUSTED)
    assert (report.whole, report.erased, report.acts) == (True, 25, 4)
    new = bytes(32)
    for number, row in rows(redacted).items():
        for changes in (
            {number: {"hash": new}},
            {number: {"previous": new}},
            {number: {"hash": new}, number + 1: {"previous": new}},
        ):
            before = {each: rows(redacted)[each] for each in changes if each <= 25}
            for each, values in changes.items():
                put(redacted, each, values)
            assert faults(redacted)[0] == ("records", "changed", number), (row.sequence, changes)
            for each, old in before.items():
                put(redacted, each, old._asdict())
    assert verify(redacted, TRUSTED).whole
