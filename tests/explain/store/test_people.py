"""What people do: reading, which is logged, holding, and purging what is old."""

import tracemalloc
from pathlib import Path
from threading import Event, Thread

import pytest
from sqlalchemy import func, select
from store_world import DAY_MS, SIGNER, T0, TRUSTED, Clock, appender, record

from explain.store.act_book import ActBook
from explain.store.acts import add_act
from explain.store.anchors import export_line, last_anchor, stored_anchors
from explain.store.checking.verification import verify
from explain.store.database import Database
from explain.store.errors import StoreError, TamperedError
from explain.store.people.queries import Query, Reader, list_acts
from explain.store.people.retention import Hold, Retention
from explain.store.settings import StoreSettings
from explain.store.tables import acts, records, stores

NUMBERS = range(20)
LOGIN = {"sqlite": "", "postgr": "weir as "}
"""What PostgreSQL knows better than whoever says who they are."""


def left(database: Database) -> list[int]:
    """Numbers of the rows that are there."""
    with database.reading() as connection:
        chosen = select(records.c.sequence).order_by(records.c.sequence)
        return list(connection.execute(chosen).scalars())


def test_a_read_gives_the_bytes_and_is_logged(filled: Database) -> None:
    clock = Clock(T0 + 5)
    reader = Reader(filled, "ada", note="complaint 7", clock=clock)
    identity = record(3).split(b'"id":"')[1][:32].decode()
    assert reader.get(identity) == record(3)
    assert reader.get("0" * 32) is None
    ((first, read), (second, missed)) = list_acts(filled)
    assert (first, read.kind, read.time, read.count) == (1, "read", T0 + 5, 1)
    assert read.name == f"{LOGIN[filled.place[:6]]}ada"
    assert (read.what, read.note) == ({"id": identity, "limit": 1}, "complaint 7")
    assert (second, missed.count) == (2, 0)
    assert [number for number, _ in list_acts(filled, after=1)] == [2]
    assert verify(filled, TRUSTED).acts == 2


def test_queries_find_the_latest_first(filled: Database) -> None:
    reader = Reader(filled, "ada")
    for query, expected in (
        (Query(event_id="7"), [7]),
        (Query(event_key="token-1"), [19, 16, 13, 10, 7, 4, 1]),
        (Query(event_key="token-1", outcome="decline"), [19, 13, 7, 1]),
        (Query(from_ms=T0 + 3 * DAY_MS, to_ms=T0 + 6 * DAY_MS), [5, 4, 3]),
        (Query(outcome="approve"), []),
        (Query(package="ab" * 32, from_ms=T0 + 18 * DAY_MS), [19, 18]),
        (Query(), list(reversed(NUMBERS))),
    ):
        assert reader.find(query) == [record(number) for number in expected], query
        assert reader.find(query, limit=2) == [record(number) for number in expected[:2]]


def test_who_does_not_say_who_they_are_reads_nothing(local: Database) -> None:
    with pytest.raises(ValueError, match="say who"):
        Reader(local, " ").find(Query())
    assert list(list_acts(local)) == []


def test_an_act_is_signed_at_once_so_that_nobody_takes_it_back(filled: Database) -> None:
    retention = Retention(filled, "ada", Clock())
    for number, act in enumerate(
        (
            lambda: Reader(filled, "ada", clock=Clock()).find(Query()),
            lambda: retention.add(Hold(event_id="19"), ""),
            lambda: retention.release(2, ""),
            lambda: ActBook(filled, "ada", Clock()).do("erase", {"field": "card"}, 1, ""),
            lambda: retention.purge(T0 + 6 * DAY_MS, SIGNER, TRUSTED),
        ),
        1,
    ):
        act()
        with filled.reading() as connection:
            anchor = last_anchor(connection)
        assert anchor is not None
        assert (anchor.acts.sequence, anchor.records.sequence) == (number, 20)
        with filled.writing() as connection:
            last = acts.c.sequence == number
            (row,) = connection.execute(select(acts).where(last)).all()
            connection.execute(acts.delete().where(last))
        (fault,) = verify(filled, TRUSTED).faults
        assert (fault.part, fault.kind, fault.sequence) == ("acts", "truncated", number)
        with filled.writing() as connection:
            connection.execute(acts.insert(), row._asdict())
    assert verify(filled, TRUSTED).whole


def test_without_the_key_an_act_waits_until_the_sink_has_signed_it(
    filled: Database, tmp_path: Path
) -> None:
    (tmp_path / "audit-key.pem").unlink()
    assert filled.signer() is None
    hasty = Reader(filled, "ada", clock=Clock(), patience_s=0)
    with pytest.raises(StoreError, match=r"act 1 .* no anchor .* nothing is shown"):
        hasty.find(Query())
    stop = Event()

    def sign() -> None:
        while not stop.wait(0.01):
            appender(filled).anchor()

    sink = Thread(target=sign)
    sink.start()
    try:
        assert len(Reader(filled, "ada", clock=Clock()).find(Query())) == 20
    finally:
        stop.set()
        sink.join()
    assert verify(filled, TRUSTED).whole
    with filled.writing() as connection:
        connection.execute(acts.delete().where(acts.c.sequence == 2))
    (fault,) = verify(filled, TRUSTED).faults
    assert (fault.part, fault.kind, fault.sequence) == ("acts", "truncated", 2)


def test_a_purge_removes_whole_segments_and_the_rest_verifies(
    filled: Database, tmp_path: Path
) -> None:
    with filled.reading() as connection:
        kept = tmp_path / "anchors.jsonl"
        kept.write_bytes(b"".join(map(export_line, stored_anchors(connection))))
    retention = Retention(filled, "ada", Clock())
    before_ms = T0 + 12 * DAY_MS
    plan = retention.plan(before_ms)
    assert (plan.through, plan.records, plan.wanted, plan.held_by) == (10, 10, 12, ())
    assert left(filled) == [number + 1 for number in NUMBERS]  # it was only a plan
    assert retention.purge(before_ms, SIGNER, TRUSTED, "five years") == plan
    assert left(filled) == list(range(11, 21))
    report = verify(filled, TRUSTED, kept)
    assert report.whole
    assert (report.records, report.purged, report.anchors) == (10, 10, 5)
    with filled.reading() as connection:
        tombstone = last_anchor(connection)
    assert tombstone is not None
    assert (tombstone.purged.sequence, tombstone.acts.sequence) == (10, 1)
    ((_, act),) = list_acts(filled)
    assert (act.kind, act.count, act.note) == ("purge", 10, "five years")
    assert act.what == {"before_ms": before_ms, "through": 10}
    # Again there is nothing to do, and nothing is logged.
    assert retention.purge(before_ms, SIGNER, TRUSTED).records == 0
    assert len(list(list_acts(filled))) == 1
    # The chain goes on, and what is taken from the beginning without a word is found.
    appender(filled, every=5).append([record(number) for number in range(20, 25)])
    assert verify(filled, TRUSTED, kept).records == 15
    with filled.writing() as connection:
        connection.execute(records.delete().where(records.c.sequence <= 15))
    (fault,) = verify(filled, TRUSTED).faults
    assert (fault.kind, fault.sequence) == ("removed", 11)


def test_all_can_go_and_the_chain_goes_on_behind_it(local: Database) -> None:
    plan = Retention(local, "ada").purge(T0 + 99 * DAY_MS, SIGNER, TRUSTED)
    assert (plan.records, left(local)) == (20, [])
    assert verify(local, TRUSTED).whole
    appender(local).append([record(30)])
    assert left(local) == [21]
    assert verify(local, TRUSTED).whole


def test_records_put_back_before_the_beginning_are_found(local: Database) -> None:
    with local.reading() as connection:
        old = connection.execute(select(records).where(records.c.sequence == 10)).one()
    Retention(local, "ada").purge(T0 + 12 * DAY_MS, SIGNER, TRUSTED)
    with local.writing() as connection:
        connection.execute(records.insert(), [old._asdict()])
    (fault,) = verify(local, TRUSTED).faults
    assert (fault.kind, fault.sequence) == ("inserted", 10)


def test_a_hold_stops_a_purge_until_it_is_released(filled: Database) -> None:
    retention = Retention(filled, "ada", Clock())
    before_ms = T0 + 12 * DAY_MS
    for hold, through, held in (
        (Hold(event_id="7"), 5, True),
        (Hold(event_key="token-0"), 0, True),
        (Hold(event_key="token-0", from_ms=T0 + 4 * DAY_MS), 5, True),
        (Hold(from_ms=T0 + 10 * DAY_MS, to_ms=T0 + 11 * DAY_MS), 10, True),
        (Hold(to_ms=T0 + DAY_MS), 0, True),
        (Hold(event_id="15"), 10, False),
    ):
        number, _ = retention.add(hold, "court order 4711")
        (active,) = retention.holds()
        assert (active.number, active.hold, active.who, active.note) == (
            number,
            hold,
            f"{LOGIN[filled.place[:6]]}ada",
            "court order 4711",
        )
        plan = retention.plan(before_ms)
        assert (plan.through, plan.held_by) == (through, (number,) if held else ()), hold
        retention.release(number, "it is over")
        assert retention.holds() == []
        with pytest.raises(ValueError, match=f"no hold {number}"):
            retention.release(number, "")
    number, _ = retention.add(Hold(event_id="7"), "")
    retention.purge(before_ms, SIGNER, TRUSTED)
    assert left(filled)[0] == 6
    retention.release(number, "")
    retention.purge(before_ms, SIGNER, TRUSTED)
    assert left(filled)[0] == 11
    assert verify(filled, TRUSTED).whole


@pytest.mark.parametrize("hold", [Hold(), Hold(from_ms=5, to_ms=5)])
def test_a_hold_has_to_hold_something(local: Database, hold: Hold) -> None:
    with pytest.raises(ValueError, match=r"held|empty"):
        Retention(local, "ada").add(hold, "")


def test_nothing_is_purged_from_a_store_that_was_tampered_with(local: Database) -> None:
    with local.writing() as connection:
        connection.exec_driver_sql("UPDATE weir_records SET outcome = 'x' WHERE sequence = 18")
    with pytest.raises(TamperedError, match=r"record 18 .* changed"):
        Retention(local, "ada").purge(T0 + 12 * DAY_MS, SIGNER, TRUSTED)
    assert len(left(local)) == 20


def test_a_forged_hold_or_release_is_found(local: Database) -> None:
    retention = Retention(local, "ada")
    retention.add(Hold(event_id="1"), "")
    with local.writing() as connection:
        connection.exec_driver_sql("DELETE FROM weir_acts WHERE kind = 'hold'")
    assert retention.holds() == []  # the hold is gone, and no anchor was signed yet
    retention.add(Hold(event_id="2"), "")
    appender(local).anchor(now=True)
    with local.writing() as connection:
        connection.exec_driver_sql("DELETE FROM weir_acts WHERE kind = 'hold'")
    with pytest.raises(TamperedError, match="act 1 truncated"):
        retention.purge(T0 + 12 * DAY_MS, SIGNER, TRUSTED)


@pytest.mark.parametrize("body", ["x'00ff'", "x'7b22736368656d61223a22ff227d'", "5", "'{}'"])
def test_an_act_that_is_none_any_more_is_named(local: Database, body: str) -> None:
    retention = Retention(local, "ada")
    retention.add(Hold(event_id="1"), "")
    with local.writing() as connection:
        connection.exec_driver_sql(f"UPDATE weir_acts SET body = {body}")
    for reads in (lambda: list(list_acts(local)), retention.holds):
        with pytest.raises(TamperedError, match="act 1 is no act any more"):
            reads()
    assert not verify(local, TRUSTED).whole


def test_what_a_forged_hold_says_is_named(local: Database) -> None:
    with local.writing() as connection:
        add_act(connection, local.id, "hold", who="eve", now_ms=T0, what={"event_id": 5}, count=0)
    with pytest.raises(TamperedError, match="act 1 is no hold that Weir wrote"):
        Retention(local, "ada").holds()


@pytest.mark.parametrize("change", ["hash = 5", "sequence = 9223372036854775807"])
def test_nothing_follows_an_act_that_can_t_be_the_last(local: Database, change: str) -> None:
    Retention(local, "ada").add(Hold(event_id="1"), "")
    with local.writing() as connection:
        connection.exec_driver_sql(f"UPDATE weir_acts SET {change}")
    with pytest.raises(TamperedError, match="end of the acts is not as it was written"):
        Reader(local, "ada").find(Query())
    assert verify(local, TRUSTED).faults[0].part == "acts"


def test_a_store_that_forgot_which_one_it_is_gets_no_new_name(filled: Database) -> None:
    with filled.writing() as connection:
        connection.exec_driver_sql("DELETE FROM weir_store")
    for make in (True, False):
        with pytest.raises(TamperedError, match="row of weir_store is gone"):
            filled._identify(make)
    with filled.reading() as connection:
        assert connection.execute(select(stores)).all() == []


def test_verifying_makes_no_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no such file"):
        StoreSettings().open_database(tmp_path, make=False)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "explanations.db").touch()
    with pytest.raises(StoreError, match="no such table"):
        StoreSettings().open_database(tmp_path, make=False)


def test_tables_of_another_version_are_refused(database: Database) -> None:
    with database.writing() as connection:
        connection.exec_driver_sql("UPDATE weir_store SET layout = 99")
    with pytest.raises(StoreError, match="layout 99"):
        database._identify(make=True)
    with database.reading() as connection:
        assert connection.execute(select(func.count()).select_from(records)).scalar() == 0


def test_verifying_takes_no_more_memory_for_more_records(database: Database) -> None:
    ours, size = appender(database, every=1_000), 6_000
    for first in range(0, 2_000, 500):
        ours.append([record(n, explanation="x" * size) for n in range(first, first + 500)])
    tracemalloc.start()
    try:
        assert verify(database, TRUSTED).records == 2_000
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2_000 * size / 2  # 250 are held at once


def test_tampering_is_found_in_both_databases(database: Database) -> None:
    ours = appender(database, every=4)
    for start in range(0, 12, 4):
        ours.append([record(number) for number in range(start, start + 4)])
    assert verify(database, TRUSTED).whole
    for statement, kind, sequence in (
        ("UPDATE weir_records SET outcome = 'approve' WHERE sequence = 9", "changed", 9),
        ("UPDATE weir_records SET sequence = 99 WHERE sequence = 7", "reordered", 7),
        ("UPDATE weir_records SET body = hash WHERE sequence = 6", "changed", 6),
        ("DELETE FROM weir_records WHERE sequence = 5", "removed", 5),
        ("DELETE FROM weir_records WHERE sequence > 3", "truncated", 4),
    ):
        with database.writing() as connection:
            connection.exec_driver_sql(statement)
        fault = verify(database, TRUSTED).faults[0]
        assert (fault.kind, fault.sequence) == (kind, sequence)
