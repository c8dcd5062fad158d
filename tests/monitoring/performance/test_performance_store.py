"""Cohorts in SQL, in both real databases."""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread
from time import monotonic, sleep

import numpy as np
import pytest
from cohort_world import FIRST, GROUP, TERMS, cohort_of, day_of
from pydantic import ValidationError

from monitoring.performance.cohort_writer import CohortWriter
from monitoring.performance.cohorts.cohort import Cohort, CohortKey, terms_of
from monitoring.performance.errors import PerformanceStoreError, PerformanceStoreUnavailableError
from monitoring.performance.settings import PerformanceSettings
from monitoring.performance.store import CohortPart, KeptCohort, PerformanceStore
from tests.postgres_server import Postgres

KEY = CohortKey(FIRST, GROUP.model, "", terms_of(TERMS))


@pytest.fixture(params=["sqlite", "postgresql"])
def said(request: pytest.FixtureRequest, tmp_path: Path) -> PerformanceSettings:
    """Settings that name an empty database, of each kind."""
    if request.param == "sqlite":
        return PerformanceSettings(url=f"sqlite:///{tmp_path / 'performance.db'}")
    return PerformanceSettings(url=request.getfixturevalue("postgres").database())


@pytest.fixture
def store(said: PerformanceSettings) -> Iterator[PerformanceStore]:
    with said.open_store(Path()) as store:
        yield store


def cohort(seed: int, events: int = 500) -> Cohort:
    return cohort_of(day_of(np.random.default_rng(seed), events))


def part(
    seed: int, name: str = "0", stamp: int = 1, key: CohortKey = KEY, watermark: int = 50
) -> CohortPart:
    return CohortPart(key, name, stamp, watermark, cohort(seed))


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = monotonic() + 60
    while not condition():
        assert monotonic() < deadline
        sleep(0.02)


def test_parts_add_up_and_newer_ones_take_the_place_of_older(store: PerformanceStore) -> None:
    store.write([part(1), part(2, "1", watermark=40)])
    assert store.read() == {KEY: KeptCohort(cohort(1) + cohort(2), 40)}
    for _ in range(2):
        store.write([part(3, stamp=5)])
    store.write([part(4, stamp=4)])  # by a worker that has lost the partition
    assert store.read() == {KEY: KeptCohort(cohort(3) + cohort(2), 40)}


def test_any_past_week_can_be_asked_for(store: PerformanceStore) -> None:
    keys = [
        KEY._replace(day=FIRST + day, model=model) for day in range(10) for model in ("aaa", "a%b")
    ]
    store.write(part(place, key=key) for place, key in enumerate(keys))
    assert list(store.read()) == sorted(keys)
    week = store.read(FIRST + 2, FIRST + 9, "aaa")
    assert [key.day - FIRST for key in week] == list(range(2, 9))
    assert {key.model for key in store.read(model="a%")} == {"a%b"}, "% is but a letter"


def test_the_columns_are_what_a_dashboard_sums(store: PerformanceStore) -> None:
    found = cohort(1, 5_000)
    store.write([CohortPart(KEY, "0", 1, 50, found)])
    query = (
        "SELECT events, reviewed + declined, mature, frauds, caught, cost, day "
        "FROM weir_performance_daily"
    )
    with store.reading() as connection:
        row = connection.exec_driver_sql(query).one()
    truth = found.truth
    assert row[:5] == (5_000, found.alerts, 5_000, sum(truth.frauds), truth.caught)
    assert row[5] == pytest.approx(truth.cost.mean * 5_000)
    assert str(row[6]) == "2024-10-04"


def test_a_store_is_made_once_and_opened_again(said: PerformanceSettings, tmp_path: Path) -> None:
    for seed in (1, 2):
        with said.open_store(Path()) as store:
            store.write([part(seed, str(seed))])
    with said.open_store(Path(), make=False) as store:
        assert len(store.read()) == 1
        with store.writing() as connection:
            connection.exec_driver_sql("UPDATE weir_performance SET layout = 9")
    with pytest.raises(PerformanceStoreError, match="layout 9"):
        said.open_store(Path())


def test_by_default_it_is_a_file_of_the_data_folder(tmp_path: Path) -> None:
    said = PerformanceSettings()
    with pytest.raises(PerformanceStoreError, match="`weir monitor` makes the store"):
        said.open_store(tmp_path, make=False)
    with said.open_store(tmp_path) as store:
        store.write([part(1)])
    file = tmp_path / "performance.db"
    assert file.stat().st_mode & 0o077 == 0
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE weir_performance_daily SET body = '{'")
    connection.close()
    with (
        said.open_store(tmp_path) as store,
        pytest.raises(PerformanceStoreError, match="2024-10-04"),
    ):
        store.read()


def test_wrong_urls_are_named_without_what_is_secret(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="mysql is not supported") as wrong:
        PerformanceSettings(url="mysql://clerk:opensesame@h/d")
    assert "opensesame" not in str(wrong.value)
    (tmp_path / "url").write_text("sqlite:///a.db")
    with pytest.raises(ValidationError, match="give url or url_file, not both"):
        PerformanceSettings(url="sqlite:///b.db", url_file=tmp_path / "url")


def test_a_database_that_is_away_is_waited_for(
    postgres: Postgres, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitoring.performance.cohort_writer._PAUSE_S", 0.05)
    settings = PerformanceSettings(url=postgres.database())
    writer, stop = CohortWriter(lambda: settings.open_store(Path())), Event()
    thread = Thread(target=writer.run, args=(stop,))
    postgres.stop()
    try:
        thread.start()
        writer.put([part(1), part(2, "1")])
        wait_for(lambda: "cohorts wait, and are written later: performance.url" in caplog.text)
        writer.put([part(3, stamp=2)])
        assert writer.waiting == 2, "a newer part takes the place of the one that waits"
        with pytest.raises(PerformanceStoreUnavailableError):
            settings.open_store(Path())
    finally:
        postgres.start()
    wait_for(lambda: writer.waiting == 0)
    stop.set()
    thread.join(20)
    with settings.open_store(Path()) as store:
        assert store.read() == {KEY: KeptCohort(cohort(3) + cohort(2), 50)}
