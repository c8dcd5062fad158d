"""Appending: once each, byte for byte, in one chain, whoever else appends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from records import EVENT, a_record
from sqlalchemy import func, select
from store_world import SIGNER, TRUSTED, Clock, appender, open_store, record

from explain.record.record import canonical
from explain.store.appending import Appender
from explain.store.chain import genesis, link_hash
from explain.store.checking.verification import verify
from explain.store.database import Database
from explain.store.errors import StoreError, StoreUnavailableError, TamperedError
from explain.store.people.queries import Query, Reader
from explain.store.settings import StoreSettings
from explain.store.tables import anchors, records
from tests.postgres_server import Postgres

_ROOT = Path(__file__).parents[3]


def rows(database: Database) -> list:
    with database.reading() as connection:
        return list(connection.execute(select(records).order_by(records.c.sequence)))


def test_records_are_kept_byte_for_byte_in_a_chain(database: Database) -> None:
    bodies = [record(number) for number in range(1_200)]
    done = appender(database).append(bodies)
    assert (done.stored, done.repeated, done.refused) == (1_200, 0, ())
    head = genesis("records", database.id)
    for number, row in enumerate(rows(database)):
        assert (row.sequence, row.previous, row.body) == (number + 1, head.hash, bodies[number])
        assert row.hash == link_hash(number + 1, head.hash, bodies[number])
        head = head._replace(hash=row.hash)
    found = rows(database)[3]
    assert (found.event_id, found.event_key, found.outcome) == ("3", "token-0", "decline")


def test_the_same_again_changes_nothing_and_others_under_its_id_are_refused(
    database: Database,
) -> None:
    first = [record(0), record(1), record(0)]
    assert appender(database).append(first).repeated == 1
    before = rows(database)
    other = record(1, decision__outcome="review")
    done = appender(database).append(
        [record(0), other, b"{}", b"\xff", record(2), record(2) + b" ", record(1)]
    )
    assert (done.stored, done.repeated) == (1, 2)
    assert [(each.position, each.conflict) for each in done.refused] == [
        (1, True),
        (2, False),
        (3, False),
        (5, True),
    ]
    assert "other bytes" in done.refused[0].detail
    assert "schema" in done.refused[1].detail
    assert rows(database)[:2] == before
    assert [row.body for row in rows(database)] == [record(0), record(1), record(2)]


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"schema": "weir.score/1"}, "schema"),
        ({"id": "no"}, "id"),
        ({"event__time": "today"}, "event.time"),
        ({"event__time": 2**63}, "event.time"),
        ({"event": None}, "event"),
        ({"decision__outcome": "shrug"}, "decision.outcome"),
        ({"model__package": 3}, "model.package"),
    ],
)
def test_what_is_no_record_is_refused_with_the_key_at_fault(
    tmp_path: Path, changes: dict, names: str
) -> None:
    with open_store(tmp_path) as database:
        (refused,) = appender(database).append([record(0, **changes)]).refused
    assert not refused.conflict
    assert f"$.{names}" in refused.detail


def test_a_record_nested_too_deep_is_refused_and_ends_nothing(tmp_path: Path) -> None:
    deep = record(0).removesuffix(b"}") + b',"x":' + b"[" * 10_000 + b"]" * 10_000 + b"}"
    with open_store(tmp_path) as database:
        done = appender(database).append([deep, record(1)])
    assert (done.stored, [each.position for each in done.refused]) == (1, [0])


def test_odd_texts_are_stored_too(database: Database) -> None:
    bodies = [
        record(0, event__id="a\0b"),
        record(1, event__id="x" * 9_000),
        record(2, event__key=None),
        record(3, event__id="ü☃"),
    ]
    assert appender(database).append(bodies).stored == 4
    assert [row.body for row in rows(database)] == bodies
    assert verify(database, TRUSTED).whole


def test_a_real_record_is_found_by_its_keys(database: Database) -> None:
    body = canonical(a_record())
    assert appender(database).append([body]).stored == 1
    for query in (
        Query(event_id=str(EVENT.id)),
        Query(event_key=EVENT.key),
        Query(from_ms=EVENT.time, to_ms=EVENT.time + 1, outcome="decline"),
    ):
        assert Reader(database, "ada").find(query) == [body]


def test_anchors_come_by_number_and_by_time(database: Database) -> None:
    clock = Clock()
    ours = Appender(database, SIGNER, anchor_every=10, anchor_after_ms=60_000, clock=clock)
    first = ours.append([record(0)]).anchor
    assert first is not None  # the very first record does not wait
    assert ours.append([record(number) for number in range(1, 10)]).anchor is None
    by_number = ours.append([record(10)]).anchor
    assert by_number is not None
    assert (by_number.number, by_number.records.sequence) == (2, 11)
    assert ours.append([record(11)]).anchor is None
    assert ours.anchor() is None
    clock.now += 60_000
    by_time = ours.anchor()
    assert by_time is not None
    assert by_time.records.sequence == 12
    clock.now += 60_000
    assert ours.anchor() is None  # nothing came
    assert ours.anchor(now=True) is None
    ours.append([record(12)])
    assert ours.anchor(now=True) is None  # it came under one already: a minute had passed
    assert ours.append([record(13)]).anchor is None
    assert ours.anchor(now=True) is not None


def test_nothing_is_appended_where_the_end_was_cut_off(database: Database) -> None:
    ours = appender(database, every=5)
    ours.append([record(number) for number in range(10)])
    with database.writing() as connection:
        connection.execute(records.delete().where(records.c.sequence > 7))
    with pytest.raises(TamperedError, match="ends at records 7, and anchor 1 was signed at 10"):
        ours.append([record(20)])
    assert len(rows(database)) == 7


_WRITER = """
import sys
sys.path[:0] = [{root!r}, {here!r}]
from store_world import appender, record
from explain.store.settings import StoreSettings
from explain.store.errors import StoreUnavailableError
from pathlib import Path
first, last, size = map(int, sys.argv[2:])
with StoreSettings(url=sys.argv[1]).open_database(Path()) as database:
    ours = appender(database, every=20)
    print("ready", flush=True)
    sys.stdin.readline()
    for start in range(first, last, size):
        ours.append([record(number) for number in range(start, min(start + size, last))])
        print(start, flush=True)
"""


def start_writer(url: str, first: int, last: int, size: int) -> "subprocess.Popen[str]":
    """A process that appends records `first` to `last`, once it is told to."""
    script = _WRITER.format(root=str(_ROOT), here=str(Path(__file__).parent))
    return subprocess.Popen(
        [sys.executable, "-c", script, url, *map(str, (first, last, size))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def go(process: "subprocess.Popen[str]") -> None:
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == "ready\n"
    process.stdin.write("go\n")
    process.stdin.flush()


def test_writers_at_once_do_not_fork_the_chain(store_url: str) -> None:
    # They make the tables at once, too. Half of what each appends, another one appends as well.
    writers = [start_writer(store_url, first, first + 60, 3) for first in (0, 30, 60)]
    for writer in writers:
        go(writer)
    for writer in writers:
        writer.communicate(timeout=120)
        assert writer.returncode == 0
    with StoreSettings(url=store_url).open_database(Path()) as database:
        with database.reading() as connection:
            stored = set(connection.execute(select(records.c.body)).scalars())
            count = connection.execute(select(func.count()).select_from(records)).scalar()
            signed = connection.execute(select(func.count()).select_from(anchors)).scalar()
        assert stored == {record(number) for number in range(120)}
        assert count == 120
        assert signed >= 5
        # Each signed by a key of its own process: the chain is whole, the signers are unknown.
        report = verify(database, TRUSTED)
        assert report.records == 120
        assert {fault.kind for fault in report.faults} == {"key"}


def test_a_writer_that_is_killed_leaves_whole_transactions(store_url: str) -> None:
    for lap in range(2):
        writer = start_writer(store_url, 1_000 * lap, 1_000 * lap + 900, 7)
        go(writer)
        assert writer.stdout is not None
        for _ in range(4 + 5 * lap):
            told = int(writer.stdout.readline())  # as far as that, it is committed
        time.sleep(0.004 * lap)
        os.kill(writer.pid, signal.SIGKILL)
        writer.communicate(timeout=60)
        with StoreSettings(url=store_url).open_database(Path()) as database:
            report = verify(database, TRUSTED)
            assert {fault.kind for fault in report.faults} <= {"key"}
            kept = {row.body for row in rows(database)}
            mine = [record(number) for number in range(1_000 * lap, told + 7)]
            assert kept.issuperset(mine)
            assert appender(database).append(mine).repeated == len(mine)


def test_a_database_that_goes_away_is_told_from_one_that_is_wrong(postgres: Postgres) -> None:
    url = postgres.database()
    with StoreSettings(url=url).open_database(Path()) as database:
        ours = appender(database)
        ours.append([record(0)])
        postgres.stop()
        try:
            with pytest.raises(StoreUnavailableError, match=str(postgres.port)):
                ours.append([record(1)])
        finally:
            postgres.start()
        assert ours.append([record(0), record(1)]).stored == 1
        assert [row.body for row in rows(database)] == [record(0), record(1)]
    with pytest.raises(StoreError, match="does not exist") as wrong:
        StoreSettings(url=url + "x").open_database(Path())
    assert not isinstance(wrong.value, StoreUnavailableError)


def test_sqlite_that_is_locked_is_unavailable_and_one_that_is_no_database_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.base.sql.database._BUSY_S", 0.05)
    settings = StoreSettings(url=f"sqlite:///{tmp_path / 'a.db'}")
    with settings.open_database(tmp_path) as one, settings.open_database(tmp_path) as other:
        assert (tmp_path / "a.db").stat().st_mode & 0o777 == 0o600
        with one.writing(), pytest.raises(StoreUnavailableError, match="locked"), other.writing():
            pass
        with one.writing(), other.reading():
            pass
    (tmp_path / "b.db").write_bytes(b"no database" * 100)
    with pytest.raises(StoreError, match="not a database") as wrong:
        StoreSettings(url=f"sqlite:///{tmp_path / 'b.db'}").open_database(tmp_path)
    assert not isinstance(wrong.value, StoreUnavailableError)
