"""Redaction: somebody's records are emptied, the chain stays, and nothing hides behind that."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import select
from store_world import DAY_MS, SIGNER, T0, TRUSTED, Clock, appender, open_store, record

from explain.store.acts import add_act
from explain.store.anchors import add_anchor, export_line, stored_anchors
from explain.store.chain import genesis, link_hash
from explain.store.checking.verification import verify
from explain.store.database import Database
from explain.store.errors import StoreError, TamperedError
from explain.store.keys import Trusted
from explain.store.people.queries import Erased, Query, Reader, list_acts
from explain.store.people.redaction import RedactionPlan, Redactor
from explain.store.people.retention import Hold, Retention
from explain.store.records import Keys
from explain.store.redactions import seal_of
from explain.store.tables import records
from streams.base.signing import open_signer

TOKEN = "token-1"
"""Of the records 1, 4, 7, 10, 13, 16 and 19, in the rows behind."""
ROWS = [2, 5, 8, 11, 14, 17, 20]


def fill(database: Database) -> Database:
    """Append twenty records, one a day, with anchors at 5, 10, 15 and 20."""
    ours = appender(database, every=5)
    for first in range(0, 20, 5):
        ours.append([record(number) for number in range(first, first + 5)])
    return database


@pytest.fixture
def filled(database: Database) -> Database:
    return fill(database)


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Database]:
    """A filled store in SQLite, for what does not depend on the database."""
    with open_store(tmp_path) as database:
        yield fill(database)


@pytest.fixture
def redacted(local: Database) -> Database:
    """The same without the records of TOKEN, and a few more behind."""
    redact(local)
    appender(local, every=5).append([record(number) for number in range(20, 25)])
    return local


def redact(database: Database, token: str = TOKEN) -> RedactionPlan:
    return Redactor(database, "ada", Clock()).redact("customer_id", token, TRUSTED, "request 8")


def rows(database: Database) -> dict[int, Any]:
    with database.reading() as connection:
        return {row.sequence: row for row in connection.execute(select(records))}


def faults(database: Database) -> list[tuple[str, str, int]]:
    return [(each.part, each.kind, each.sequence) for each in verify(database, TRUSTED).faults]


def run(database: Database, *statements: str) -> None:
    with database.writing() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def test_the_bytes_go_and_the_chain_stays(filled: Database, tmp_path: Path) -> None:
    before = rows(filled)
    with filled.reading() as connection:
        copy = tmp_path / "anchors.jsonl"
        copy.write_bytes(b"".join(map(export_line, stored_anchors(connection))))
    assert b"redacts" not in copy.read_bytes(), "what former versions signed stays as it was"
    assert Redactor(filled, "ada").plan(TOKEN) == RedactionPlan(7, 0, ())
    assert rows(filled) == before, "it was only a plan"
    assert redact(filled) == RedactionPlan(7, 0, ())
    after = rows(filled)
    for number, old in before.items():
        gone = {"body": b"", "event_id": "", "event_key": ""} if number in ROWS else {}
        assert after[number]._asdict() == old._asdict() | gone
    report = verify(filled, TRUSTED, copy)
    assert report.whole
    assert (report.records, report.erased, report.unanchored) == (20, 7, 0)
    ((number, act),) = list_acts(filled)
    assert (number, act.kind, act.count, act.note) == (1, "redact", 7, "request 8")
    assert act.what["field"] == "customer_id"
    assert sorted(map(int, act.what["rows"])) == ROWS
    assert TOKEN not in msgspec.json.encode(act).decode()
    # Again there is nothing to do, and nothing is logged; the chain goes on.
    assert redact(filled) == RedactionPlan(0, 0, ())
    appender(filled, every=5).append([record(number) for number in range(20, 25)])
    assert redact(filled) == RedactionPlan(1, 0, ())
    report = verify(filled, TRUSTED, copy)
    assert (report.whole, report.records, report.erased, report.acts) == (True, 25, 8, 2)


def test_sqlite_keeps_nothing_of_it_in_its_files(tmp_path: Path) -> None:
    token, value = "5ec2e7" * 10 + "beef", "a-value-of-hers" * 400
    with open_store(tmp_path) as database:
        hers = [record(n, event__key=token, explanation=value) for n in range(1, 60, 2)]
        appender(database).append([record(n) for n in range(0, 60, 2)] + hers)
        assert token.encode() in written(tmp_path)
        redact(database, token)
        for secret in (token, value[:15]):
            assert secret.encode() not in written(tmp_path)
        assert verify(database, TRUSTED).erased == 30


def written(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.glob("explanations.db*"))


def test_what_is_held_stays_until_it_is_released(filled: Database) -> None:
    retention = Retention(filled, "ada", Clock())
    one, _ = retention.add(Hold(event_id="7"), "court order 4711")
    two, _ = retention.add(Hold(event_key=TOKEN, from_ms=T0 + 16 * DAY_MS), "court order 4712")
    retention.add(Hold(event_id="3"), "somebody else's")
    plan = RedactionPlan(4, 3, (one, two))
    assert Redactor(filled, "ada").plan(TOKEN) == plan
    assert redact(filled) == plan
    assert [number for number, row in rows(filled).items() if not row.body] == [2, 5, 11, 14]
    assert verify(filled, TRUSTED).whole
    retention.release(one, "")
    assert redact(filled) == RedactionPlan(1, 2, (two,))
    retention.release(two, "")
    assert redact(filled) == RedactionPlan(2, 0, ())
    assert (verify(filled, TRUSTED).whole, verify(filled, TRUSTED).erased) == (True, 7)


def test_who_reads_is_told_who_erased_it(filled: Database) -> None:
    redact(filled)
    reader = Reader(filled, "eve", clock=Clock())
    who = "weir as ada" if filled.place.startswith("postgresql") else "ada"
    identity = rows(filled)[8].id
    assert reader.get(identity) == Erased(identity, 1, who, T0)
    for query in (Query(event_key=TOKEN), Query(event_id="7")):
        assert reader.find(query) == [], "nothing leads to it from the person"
    found = reader.find(Query(from_ms=T0 + 6 * DAY_MS, to_ms=T0 + 8 * DAY_MS))
    assert found == [Erased(identity, 1, who, T0), record(6)]


def test_what_comes_again_from_kafka_does_not_come_back(filled: Database) -> None:
    redact(filled)
    explained_again = record(7, event__key="another token")
    done = appender(filled).append([record(1), record(4), explained_again, record(2)])
    assert (done.stored, done.repeated, done.refused) == (0, 4, ())
    assert rows(filled)[2].body == b""


def test_what_is_redacted_can_be_purged(filled: Database) -> None:
    redact(filled)
    assert Retention(filled, "ada", Clock()).purge(T0 + 12 * DAY_MS, SIGNER, TRUSTED).through == 10
    report = verify(filled, TRUSTED)
    assert (report.whole, report.records, report.erased) == (True, 10, 4)


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
    old = rows(redacted)[7]
    body = record(6, decision__outcome="approve")
    new = link_hash(7, old.previous, body)
    with redacted.writing() as connection:
        changed = {"body": body, "hash": new, "outcome": "approve"}
        for number, values in ((7, changed), (8, {"previous": new})):
            row = records.c.sequence == number
            connection.execute(records.update().where(row).values(**values))
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


def test_nothing_is_redacted_in_a_store_that_was_tampered_with(local: Database) -> None:
    run(local, "UPDATE weir_records SET outcome = 'x' WHERE sequence = 8")
    with pytest.raises(TamperedError, match=r"nothing was erased.*record 8 .* changed"):
        redact(local)
    assert all(row.body for row in rows(local).values())


def test_it_takes_the_key_that_counts(local: Database, tmp_path: Path) -> None:
    redactor = Redactor(local, "ada")
    other = open_signer(tmp_path / "other.pem")
    with pytest.raises(StoreError, match=r"store\.key_file: records are erased under the key"):
        redactor.redact("customer_id", TOKEN, Trusted([other.public]))
    with local.writing() as connection:  # another key has taken its place
        add_anchor(connection, local.id, other, T0)
    with pytest.raises(StoreError, match="is a former one"):
        redactor.redact("customer_id", TOKEN, Trusted([other.public, SIGNER.public]))
    (tmp_path / "audit-key.pem").unlink()
    with pytest.raises(StoreError, match=r"store\.key_file: .*can't be read here"):
        redactor.redact("customer_id", TOKEN, TRUSTED)
    assert all(row.body for row in rows(local).values())


_REDACTOR = """
import sys
sys.path[:0] = [{root!r}, {here!r}]
from pathlib import Path
from store_world import T0, Clock
from explain.store.keys import Trusted
from explain.store.people import redaction
from explain.store.settings import StoreSettings
from streams.base.signing import open_signer
redaction._AT_ONCE = 1
key = Path(sys.argv[2])
with StoreSettings(url=sys.argv[1], key_file=key).open_database(Path()) as database:
    redactor = redaction.Redactor(database, "ada", Clock())
    redactor.redact("customer_id", "token-1", Trusted([open_signer(key).public]))
"""


def test_one_that_is_killed_is_finished_by_the_next(
    database: Database, store_url: str, tmp_path: Path
) -> None:
    appender(database).append([record(number) for number in range(600)])
    script = _REDACTOR.format(root=str(Path(__file__).parents[3]), here=str(Path(__file__).parent))
    command = [sys.executable, "-c", script, store_url, str(tmp_path / "audit-key.pem")]
    process = subprocess.Popen(command)
    while not (before := list(list_acts(database))):
        assert process.poll() is None
    os.kill(process.pid, signal.SIGKILL)
    process.wait(60)
    done = len(list(list_acts(database)))
    assert len(before) <= done
    report = verify(database, TRUSTED)
    assert (report.whole, report.erased, report.acts) == (True, done, done)
    assert redact(database) == RedactionPlan(200 - done, 0, ())
    report = verify(database, TRUSTED)
    assert (report.whole, report.erased) == (True, 200)
