"""The sink: each explanation is stored once, whatever fails when."""

from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import Producer
from sink_world import World, stored, wait_for
from store_world import SIGNER, TRUSTED, open_store, record

from explain.store.appending import Appender
from explain.store.checking.verification import verify
from explain.store.errors import StoreUnavailableError, TamperedError
from explain.store.settings import StoreSettings
from explain.store.tables import records
from streams.base.bounded_calls import StoppedError
from tests.postgres_server import Postgres
from tests.raw_producer import produce_unreadable


@pytest.fixture
def world(kafka: str, make_topics: Callable[..., list[str]]) -> World:
    return World(kafka, make_topics("explanations", "dead-letters"))


def test_records_are_stored_once_and_the_rest_goes_to_the_dead_letters(
    world: World, tmp_path: Path
) -> None:
    good = [record(number) for number in range(250)]
    conflict = record(3, decision__outcome="review")
    world.publish(*good[:200], b"no json", None, conflict, good[0], *good[200:])
    produce_unreadable(world.kafka.bootstrap_servers, world.topic)
    with open_store(tmp_path) as database:
        with world.sinking(database):
            wait_for(lambda: world.metric("weir_store_records_total", outcome="stored") == 250)
            wait_for(lambda: world.committed() == 259)
            lag = {"topic": world.topic, "partition": "0"}
            wait_for(lambda: world.registry.get_sample_value("weir_lag_records", lag) == 0)
        assert stored(database) == good
        report = verify(database, TRUSTED)
        assert report.whole
        assert report.unanchored == 0  # it signs when it ends
    assert world.metric("weir_store_records_total", outcome="repeated") == 1
    assert world.metric("weir_store_up") == 1
    assert [(each.letter.reason, each.letter.value) for each in world.letters()] == [
        ("breaks_schema", b"no json"),
        ("empty", None),
        ("failed", conflict),
        ("bad_batch", None),
    ]
    assert "other bytes" in world.letters()[2].letter.detail
    assert world.metric("weir_dead_letters_total", reason="failed") == 1


def test_what_was_stored_but_not_committed_in_kafka_is_passed_over(
    world: World, tmp_path: Path
) -> None:
    good = [record(number) for number in range(20)]
    world.publish(*good)
    with open_store(tmp_path) as database:
        Appender(database, SIGNER, anchor_every=1_000, anchor_after_ms=10**13).append(
            good[:12]
        )  # and then it was killed
        with world.sinking(database):
            wait_for(lambda: world.committed() == 20)
        assert stored(database) == good
        assert world.metric("weir_store_records_total", outcome="repeated") == 12
        with world.sinking(database):
            world.publish(record(20))
            wait_for(lambda: world.committed() == 21)
        assert stored(database) == [*good, record(20)]
        assert world.metric("weir_store_records_total", outcome="repeated") == 12


def test_a_group_at_rest_has_no_lag(world: World, tmp_path: Path) -> None:
    """Who explains writes in transactions: behind the last record stands a marker."""
    producer = Producer(world.kafka.producer_config(transactional_id=world.group))
    producer.init_transactions(30)
    with open_store(tmp_path) as database:
        sink = world.sink(database)
        assert sink.waits_for() != []
        with world.sinking(database, sink):
            for number in range(2):
                producer.begin_transaction()
                producer.produce(world.topic, record(number), "token")
                producer.commit_transaction(30)
                wait_for(lambda: world.lag() == {0: 0})
            assert sink.waits_for() == []
        assert sink.waits_for() != []
        assert stored(database) == [record(0), record(1)]


def test_a_database_that_is_away_is_waited_for(
    world: World, postgres: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    with StoreSettings(url=postgres.database()).open_database(Path()) as database:
        sink = world.sink(database)
        with world.sinking(database, sink):
            world.publish(record(0))
            wait_for(lambda: world.committed() == 1)
            postgres.stop()
            try:
                world.publish(record(1))
                wait_for(lambda: "records wait in Kafka" in caplog.text)
                assert world.metric("weir_store_up") == 0
                (reason,) = sink.waits_for()
                assert reason.startswith("the database does not take records: store.url")
                world.publish(record(2))
                assert world.committed() == 1
                lag = {"topic": world.topic, "partition": "0"}
                wait_for(lambda: world.registry.get_sample_value("weir_lag_records", lag) == 2)
            finally:
                postgres.start()
            wait_for(lambda: world.committed() == 3)
            assert sink.waits_for() == []
        assert world.metric("weir_store_up") == 1
        assert stored(database) == [record(0), record(1), record(2)]


def test_a_sink_that_can_not_sign_when_it_is_stopped_says_so(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(appender: Appender, *, now: bool = False) -> None:
        raise StoreUnavailableError("the database is away")

    def stop_while_it_is_away() -> None:
        with open_store(tmp_path) as database, world.sinking(database):
            world.publish(record(0))
            wait_for(lambda: world.committed() == 1)
            monkeypatch.setattr(Appender, "anchor", away)

    with pytest.raises(StoppedError, match="away; the next start signs for the last records"):
        stop_while_it_is_away()


def test_a_store_that_was_cut_off_ends_it_before_it_covers_the_trace(
    world: World, tmp_path: Path
) -> None:
    with open_store(tmp_path) as database:
        Appender(database, SIGNER, anchor_every=1, anchor_after_ms=0).append([record(0), record(1)])
        with database.writing() as connection:
            connection.execute(records.delete().where(records.c.sequence == 2))
        world.publish(record(2))
        with pytest.raises(TamperedError, match="cut off"), world.sinking(database) as failed:
            wait_for(lambda: bool(failed))
        assert stored(database) == [record(0)]
        assert world.committed() < 0
