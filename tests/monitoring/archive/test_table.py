"""A table of the archive: rows and positions are one commit, in a folder and in an object store."""

import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import boto3
import pyarrow as pa
import pytest
from moto.server import ThreadedMotoServer
from prometheus_client import CollectorRegistry

from monitoring.archive.errors import ArchiveAwayError, ArchiveConflictError, ArchiveError
from monitoring.archive.housekeeper import Housekeeper
from monitoring.archive.metrics import ArchiveMetrics
from monitoring.archive.settings import ArchiveSettings
from monitoring.archive.table import EVENTS, LABELS, SCORES, TABLES, ArchiveTable, open_tables
from monitoring.archive.views import open_views, snapshot
from streams.features.erasures import Erasures

DAY = date(2026, 1, 1)
DAY_MS = 86_400_000


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Where an archive may be, and how it is reached."""
    if request.param == "folder":
        yield str(tmp_path / "archive"), {}
        return
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    options = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "very-secret",
        "AWS_REGION": "us-east-1",
    }
    client = boto3.client(
        "s3",
        endpoint_url=options["AWS_ENDPOINT_URL"],
        aws_access_key_id="key",
        aws_secret_access_key="very-secret",
        region_name="us-east-1",
    )
    bucket = f"bank-{uuid4().hex}"  # all servers of a process share what they hold
    client.create_bucket(Bucket=bucket)
    yield f"s3://{bucket}/weir", options
    server.stop()


def rows(first: int, stop: int, partition: int = 0, day: date = DAY, **features: float) -> pa.Table:
    """Events; each key has ten of them."""
    count = stop - first
    at = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    return pa.table(
        {
            "event_id": pa.array(range(first, stop), pa.int64()),
            "key": pa.array([f"o'card {each // 10}" for each in range(first, stop)]),
            "event_time": pa.array([at] * count, pa.timestamp("us", "UTC")),
            "features": pa.array([{"amount": 1.0} | features] * count),
            "feature_schema": ["f" * 12] * count,
            "partition": pa.array([partition] * count, pa.int32()),
            "offset": pa.array(range(first, stop), pa.int64()),
            "date": pa.array([day] * count),
        }
    )


def labels(first: int, stop: int, day: date) -> pa.Table:
    count = stop - first
    at = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    return pa.table(
        {
            "event_id": pa.array(range(first, stop), pa.int64()),
            "label": pa.array([1] * count, pa.int8()),
            "time": pa.array([at] * count, pa.timestamp("us", "UTC")),
            "partition": pa.array([0] * count, pa.int32()),
            "offset": pa.array(range(first, stop), pa.int64()),
            "date": pa.array([day] * count),
        }
    )


def offsets(table: ArchiveTable) -> list[int]:
    dataset = table.dataset()
    return [] if dataset is None else sorted(dataset.to_table()["offset"].to_pylist())


def test_of_two_who_archive_the_same_one_succeeds(place: tuple[str, dict[str, str]]) -> None:
    ours, zombie = (ArchiveTable(place[0], EVENTS, place[1]) for _ in range(2))
    assert ours.position("log/0") == zombie.position("log/0") == 0
    assert ours.dataset() is None
    ours.append(rows(0, 10), {"log/0": (0, 12)})
    with pytest.raises(ArchiveConflictError):
        zombie.append(rows(0, 20), {"log/0": (0, 20)})
    assert zombie.position("log/0") == 12
    zombie.append(rows(50, 60, partition=1), {"log/1": (0, 60)})
    ours.append(rows(12, 20), {"log/0": (12, 20)})  # that of another partition is no conflict
    with pytest.raises(ArchiveConflictError):
        zombie.append(rows(12, 30), {"log/0": (12, 30)})
    assert offsets(ours) == [*range(10), *range(12, 20), *range(50, 60)]


def test_many_at_once_lose_and_double_nothing(tmp_path: Path) -> None:
    failures: list[Exception] = []

    def archive() -> None:
        table = ArchiveTable(str(tmp_path), EVENTS, {})
        try:
            while (begin := table.position("log/0")) < 60:
                try:
                    table.append(rows(begin, begin + 5), {"log/0": (begin, begin + 5)})
                except (ArchiveConflictError, ArchiveAwayError):
                    continue
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=archive) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert offsets(ArchiveTable(str(tmp_path), EVENTS, {})) == [*range(60)]


def test_features_come_and_go(tmp_path: Path) -> None:
    table = ArchiveTable(str(tmp_path), EVENTS, {})
    table.append(rows(0, 2), {"log/0": (0, 2)})
    table.append(rows(2, 4, velocity=3.0), {"log/0": (2, 4)})
    dataset = table.dataset()
    assert dataset is not None
    found = dataset.to_table().sort_by("offset")["features"].to_pylist()
    assert [each["velocity"] for each in found] == [None, None, 3.0, 3.0]


def test_rows_of_another_kind_are_refused_in_words(tmp_path: Path) -> None:
    table = ArchiveTable(str(tmp_path), EVENTS, {})
    table.append(rows(0, 2), {"log/0": (0, 2)})
    other = rows(2, 4).set_column(0, "event_id", pa.array(["a", "b"]))
    with pytest.raises(ArchiveError, match="does not take these rows"):
        table.append(other, {"log/0": (2, 4)})
    assert table.position("log/0") == 2


def test_a_store_that_is_away_is_told_without_its_secrets() -> None:
    options = {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "very-secret",
        "AWS_REGION": "us-east-1",
        "max_retries": "0",
    }
    with pytest.raises(ArchiveAwayError, match="s3://bank/weir/events") as told:
        ArchiveTable("s3://bank/weir", EVENTS, options).position("log/0")
    assert "very-secret" not in str(told.value)


def house(place: str, options: dict[str, str], erasures: Erasures, **more: int) -> Housekeeper:
    return Housekeeper(
        open_tables(place, options),
        ArchiveSettings(**{"undo": "0s", **more}),  # type: ignore[arg-type]
        erasures=erasures,
        key_field="card",
        leads=lambda: True,
        metrics=ArchiveMetrics(CollectorRegistry()),
    )


def test_the_erased_leave_no_row_and_no_file(place: tuple[str, dict[str, str]]) -> None:
    tables = open_tables(*place)
    for name in (EVENTS, SCORES):
        tables[name].append(rows(0, 40), {"log/0": (0, 40)})
    tables[LABELS].append(labels(0, 40, DAY + timedelta(days=2)), {"labels/0": (0, 40)})
    erasures = Erasures()
    noon = int(datetime(2026, 1, 1, 12, tzinfo=UTC).timestamp() * 1_000)
    erasures.add("card", "o'card 2", noon + 1)
    erasures.add("card", "o'card 3", noon)  # of him only what was before
    house(*place, erasures).erase()
    for name in TABLES:
        assert offsets(tables[name]) == [*range(20), *range(30, 40)], name
    if place[1]:
        return
    files = [each for each in Path(place[0]).rglob("*.parquet") if "_delta_log" not in each.parts]
    assert len(files) == len(TABLES)
    assert not any(b"o'card 2" in each.read_bytes() for each in files)
    assert tables[EVENTS].position("log/0") == 40


def test_old_days_expire_and_small_files_become_one(tmp_path: Path) -> None:
    tables = open_tables(str(tmp_path), {})
    for day in range(3):
        for part in range(4):
            begin = 40 * day + 10 * part
            some = rows(begin, begin + 10, day=DAY + timedelta(days=day))
            tables[EVENTS].append(some, {"log/0": (begin, begin + 10)})
    house(str(tmp_path), {}, Erasures(), keep="1d").tidy()  # type: ignore[arg-type]
    assert offsets(tables[EVENTS]) == [*range(40, 120)]
    table = tables[EVENTS].newest()
    assert table is not None
    assert len(table.file_uris()) == 2
    assert tables[EVENTS].position("log/0") == 120


def test_matured_has_what_was_known_by_then(tmp_path: Path) -> None:
    tables = open_tables(str(tmp_path), {})
    for day in range(4):
        some = rows(10 * day, 10 * day + 10, day=DAY + timedelta(days=day))
        tables[EVENTS].append(some, {"log/0": (10 * day, 10 * day + 10)})
    early = labels(0, 3, DAY + timedelta(days=1))
    late = labels(3, 6, DAY + timedelta(days=3))
    tables[LABELS].append(pa.concat_tables([early, late]), {"labels/0": (0, 6)})

    def matured(legitimate: bool) -> list[tuple[int, int]]:
        database = open_views(
            snapshot(tables), maturity=2 * DAY_MS, unlabelled_legitimate=legitimate
        )
        found = database.execute("select event_id, label from matured order by event_id")
        return found.fetchall()

    # Labels are complete up to the fourth day, so the first two are two days old.
    assert matured(legitimate=False) == [(each, 1) for each in range(3)]
    assert matured(legitimate=True) == [(each, int(each < 3)) for each in range(20)]


def test_without_labels_nothing_is_mature_whatever_ids_are(tmp_path: Path) -> None:
    tables = open_tables(str(tmp_path), {})
    some = pa.concat_tables([rows(0, 5), rows(5, 10, day=DAY + timedelta(days=9))])
    texts = pa.array([f"event {each}" for each in range(10)])
    tables[EVENTS].append(some.set_column(0, "event_id", texts), {"log/0": (0, 10)})
    database = open_views(snapshot(tables), maturity=2 * DAY_MS, unlabelled_legitimate=True)
    assert database.execute("select count(*) from matured").fetchall() == [(0,)]
    assert database.execute("select count(*) from events").fetchall() == [(10,)]
