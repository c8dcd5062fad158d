"""Redaction: somebody's records are emptied, and the chain stays."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from redaction_world import ROWS, TOKEN, change_before_a_redacted_row, redact, rows, run
from store_world import DAY_MS, SIGNER, T0, TRUSTED, Clock, appender, open_store, record

from explain.store.anchors import add_anchor, export_line, stored_anchors
from explain.store.checking.verification import verify
from explain.store.database import Database
from explain.store.errors import StoreError, TamperedError
from explain.store.keys import Trusted
from explain.store.people.queries import Erased, Query, Reader, list_acts
from explain.store.people.redaction import RedactionPlan, Redactor
from explain.store.people.retention import Hold, Retention
from streams.base.signing import open_signer


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


def test_nothing_is_redacted_in_a_store_that_was_tampered_with(local: Database) -> None:
    run(local, "UPDATE weir_records SET outcome = 'x' WHERE sequence = 8")
    with pytest.raises(TamperedError, match=r"nothing was erased.*record 8 .* changed"):
        redact(local)
    assert all(row.body for row in rows(local).values())


def test_what_is_changed_while_the_store_is_verified_is_not_sealed(local: Database) -> None:
    def step(done: int, total: int) -> None:
        if done == total:
            change_before_a_redacted_row(local)

    with pytest.raises(TamperedError, match="record 8 was changed while the store was verified"):
        Redactor(local, "ada").redact("customer_id", TOKEN, TRUSTED, step=step)
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
    while not list(list_acts(database)) and process.poll() is None:
        pass
    process.kill()
    process.wait(60)
    done = len(list(list_acts(database)))
    assert done
    report = verify(database, TRUSTED)
    assert (report.whole, report.erased, report.acts) == (True, done, done)
    assert redact(database) == RedactionPlan(200 - done, 0, ())
    report = verify(database, TRUSTED)
    assert (report.whole, report.erased) == (True, 200)
