"""PostgreSQL's roles: what nobody can do past the log, tried with plain SQL."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread

import pytest
from sqlalchemy import text
from store_world import DAY_MS, SIGNER, T0, TRUSTED, appender, open_store, record

from explain.store.act_book import ActBook
from explain.store.checking.verification import verify
from explain.store.database import Database
from explain.store.errors import StoreError
from explain.store.people.queries import Erased, Query, Reader, list_acts
from explain.store.people.redaction import RedactionPlan, Redactor
from explain.store.people.retention import Hold, Retention
from explain.store.records import keys_of
from explain.store.roles.sql import Roles, roles_sql
from explain.store.settings import StoreSettings
from streams.base.clock import now_ms
from tests.postgres_server import Postgres


@dataclass(frozen=True)
class World:
    """A store with ten records and its logins: eve and ada are analysts."""

    url: str
    folder: Path
    postgres: Postgres

    def login(self, name: str, *, key: bool = False) -> Database:
        """The store as this login sees it, with the key of the store or without."""
        database = self.url.rpartition("/")[2]
        url = self.url.replace("weir@", f"{name}_{database}@")
        if key:
            return open_store(self.folder, url)
        return StoreSettings(url=url).open_database(self.folder / "nowhere")

    def name(self, login: str) -> str:
        return f"{login}_{self.url.rpartition('/')[2]}"

    @contextmanager
    def signing(self) -> Iterator[None]:
        """Sign what people do, as a sink does."""
        stop = Event()

        def sign() -> None:
            with self.login("sink", key=True) as database:
                while not stop.wait(0.01):
                    appender(database, clock=now_ms).anchor()

        sink = Thread(target=sign)
        sink.start()
        try:
            yield
        finally:
            stop.set()
            sink.join()


@pytest.fixture
def world(postgres: Postgres, tmp_path: Path) -> World:
    url = postgres.database()
    name = url.rpartition("/")[2]
    roles = Roles(f"analyst_{name}", f"sink_{name}", f"keeper_{name}")
    with open_store(tmp_path, url) as database:
        appender(database, every=5).append([record(number) for number in range(10)])
        for _ in range(2):  # again changes nothing
            database.run_script(roles_sql(roles))
    for statement in (
        f"CREATE ROLE eve_{name} LOGIN IN ROLE analyst_{name}",
        f"CREATE ROLE ada_{name} LOGIN IN ROLE analyst_{name}",
        f"ALTER ROLE sink_{name} LOGIN",
        f"ALTER ROLE keeper_{name} LOGIN",
    ):
        postgres.execute(statement, name)
    return World(url, tmp_path, postgres)


def test_an_analyst_reads_by_the_functions_under_her_login(world: World) -> None:
    with world.login("eve") as database, world.signing():
        reader = Reader(database, "the chief auditor", note="complaint 7")
        span = Query(outcome="decline", event_key="token-1", from_ms=T0, to_ms=T0 + 8 * DAY_MS)
        assert reader.find(span) == [record(7), record(1)]
        assert reader.get("0" * 32) is None
        assert reader.find(Query(), 3) == [record(9), record(8), record(7)]
    with world.login("keeper") as database:
        acts = [act for _, act in list_acts(database)]
        assert {act.who for act in acts} == {world.name("eve")}
        assert [(act.by, act.count, act.note) for act in acts] == [
            ("the chief auditor", count, "complaint 7") for count in (2, 0, 3)
        ]
        assert acts[0].what == {**span.asked(), "limit": 100, "through": 10}
        assert verify(database, TRUSTED).whole


FORBIDDEN = [
    "SELECT body FROM weir_records",
    "SELECT body FROM weir_acts",
    "SELECT body FROM weir_anchors",
    "DELETE FROM weir_acts",
    "UPDATE weir_acts SET kind = 'x'",
    "TRUNCATE weir_acts",
    "INSERT INTO weir_acts SELECT 9, 'x', 'x', 'x', 'read'",
    "INSERT INTO weir_anchors SELECT 9, 9, 'x', 'x'",
    "DELETE FROM weir_store",
    "SELECT weir_log('hold', '{}', 1, 'chief', '')",
    "SELECT weir_append_act('read', '{}', 1, 'chief', '')",
    "SELECT weir_meant('{\"limit\": 1}')",
    "UPDATE weir_records SET body = ''",
    'SELECT weir_redact(\'{"field": "card", "rows": {"1": ""}}\', \'\', \'\')',
    "SELECT weir_erasure(1, '')",
    "SET ROLE weir",
    "SET SESSION AUTHORIZATION weir",
]


def test_plain_sql_gives_an_analyst_nothing(world: World) -> None:
    with world.login("eve") as database:
        with pytest.raises(StoreError, match="may not see what people did"):
            list(list_acts(database))
        with pytest.raises(StoreError, match="a keeper verifies it"):
            verify(database, TRUSTED)
        for statement in FORBIDDEN:
            with pytest.raises(StoreError, match="denied"), database.writing() as connection:
                connection.exec_driver_sql(statement)


def test_no_record_is_shown_for_a_read_that_was_taken_back_or_is_anothers(world: World) -> None:
    def run(login: Database, *statements: str) -> list[object]:
        with login.writing() as connection:
            return [connection.execute(text(each)).scalar() for each in statements]

    asks = "SELECT weir_ask('{\"limit\"\\: 5}', 'ada', '')"
    with world.login("eve") as eve, world.login("ada") as ada:
        with suppress(RuntimeError), eve.writing() as connection:
            assert connection.execute(text(asks)).scalar() == 1
            raise RuntimeError("rolled back, as who wants no trace would")
        with pytest.raises(StoreError, match="no read of yours"):
            run(eve, "SELECT weir_answer(1)")
        with pytest.raises(StoreError, match="no anchor was signed for act 1"):
            run(eve, asks, "SELECT weir_answer(1)")  # in one go, to be rolled back then
        assert run(ada, asks) == [1]
        with pytest.raises(StoreError, match="no anchor was signed for act 1"):
            run(ada, "SELECT weir_answer(1)")
        with world.signing():
            ActBook(ada, "ada").settle(1)
        with pytest.raises(StoreError, match="no read of yours"):
            run(eve, "SELECT weir_answer(1)")
        assert run(ada, "SELECT count(*) FROM weir_answer(1)") == [5]


def test_what_a_read_asks_is_data_and_no_statement(world: World) -> None:
    asks = text("SELECT weir_ask(CAST(:what AS jsonb), '', '')")
    with world.login("eve") as database:
        for what in (
            '{"limit": 5, "true; --": 1}',
            '{"id": "x"}',
            '{"limit": 5, "from_ms": "1 OR true"}',
            "{}",
        ):
            with (
                pytest.raises(StoreError, match=r"a read names limit|invalid input"),
                database.writing() as connection,
            ):
                connection.execute(asks, {"what": what})
        with world.signing():
            assert Reader(database, "eve").find(Query(event_id="' OR true --")) == []


def test_keeper_and_sink_do_what_is_theirs_and_no_more(world: World) -> None:
    def denied(database: Database, statement: str) -> None:
        with pytest.raises(StoreError, match="denied"), database.writing() as connection:
            connection.exec_driver_sql(statement)

    with world.login("sink", key=True) as sink:
        assert appender(sink, every=2).append([record(10), record(11)]).anchor is not None
        for table in ("weir_records", "weir_acts", "weir_anchors"):
            denied(sink, f"DELETE FROM {table}")
            denied(sink, f"UPDATE {table} SET body = 'x'")
        ours = appender(sink, clock=now_ms)
        ours.accept("root", ours.witness())
        with pytest.raises(StoreError, match="denied"):  # the sink reads for nobody
            Reader(sink, "eve").find(Query())
    with world.login("keeper", key=True) as keeper:
        denied(keeper, "INSERT INTO weir_acts SELECT 9, 'x', 'x', 'x', 'hold'")
        denied(keeper, "DELETE FROM weir_acts")
        retention = Retention(keeper, "kim")
        number, held = retention.add(Hold(event_id="3"), "court order")
        assert (held, retention.holds()[0].who) == (1, f"{world.name('keeper')} as kim")
        retention.release(number, "over")
        assert retention.purge(T0 + 99 * DAY_MS, SIGNER, TRUSTED).records == 12
        assert verify(keeper, TRUSTED).whole
        kinds = [act.kind for _, act in list_acts(keeper)]
        assert kinds == ["accept", "hold", "release", "purge"]


def test_a_keeper_erases_records_by_the_function_and_all_who_read_are_told(world: World) -> None:
    with world.login("eve", key=True) as analyst, world.login("sink", key=True) as sink:
        for login in (analyst, sink):
            with pytest.raises(StoreError, match=r"this login may not erase records: a keeper's"):
                Redactor(login, "eve").redact("card", "token-1", TRUSTED)
    with world.login("keeper", key=True) as keeper:
        Retention(keeper, "kim").add(Hold(event_id="4"), "court order")
        assert Redactor(keeper, "kim").redact("card", "token-1", TRUSTED, "request 8") == (
            RedactionPlan(2, 1, (1,))
        )
        report = verify(keeper, TRUSTED)
        assert (report.whole, report.erased) == (True, 2)
        act = dict(list_acts(keeper))[2]
        assert (act.kind, act.name) == ("redact", f"{world.name('keeper')} as kim")
    with world.login("eve") as eve, world.signing():
        found = Reader(eve, "eve").find(Query(from_ms=T0 + 6 * DAY_MS, to_ms=T0 + 8 * DAY_MS))
        assert found == [Erased(keys_of(record(7)).id, 2, act.name, act.time), record(6)]
        assert Reader(eve, "eve").find(Query(event_key="token-1")) == [record(4)], "it is held"


def test_a_keeper_without_the_key_erases_nothing_unseen(world: World) -> None:
    with world.login("keeper") as keeper, world.signing():
        with pytest.raises(StoreError, match=r"store\.key_file"):
            Redactor(keeper, "kim").redact("card", "token-1", TRUSTED)
        what = '{"field": "card", "rows": {"5": "ab"}}'
        with keeper.writing() as connection:
            connection.execute(
                text("SELECT weir_redact(CAST(:what AS jsonb), '', '')"), {"what": what}
            )
        ActBook(keeper, "kim").settle(1)
        assert [
            (each.part, each.kind, each.sequence) for each in verify(keeper, TRUSTED).faults
        ] == [("records", "changed", 5), ("acts", "inserted", 1)]


def test_an_erasure_is_logged_by_whoever_may_read(world: World) -> None:
    with world.login("eve") as database, world.signing():
        ActBook(database, "eve").do("erase", {"field": "card"}, 1, "request 8")
    with world.login("keeper") as database:
        ((_, act),) = list_acts(database)
        assert (act.kind, act.who, act.what) == ("erase", world.name("eve"), {"field": "card"})


def test_who_may_insert_acts_is_still_logged_under_the_login(world: World) -> None:
    """As with grants that were made before there were functions."""
    name = world.url.rpartition("/")[2]
    grant = f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {world.name('eve')}"
    world.postgres.execute(grant, name)
    world.postgres.execute(f"GRANT INSERT ON weir_acts TO {world.name('eve')}", name)
    with world.login("eve") as database:
        with world.signing():
            assert len(Reader(database, "ada").find(Query())) == 10
        ((_, act),) = list_acts(database)
        assert (act.who, act.by) == (world.name("eve"), "ada")
