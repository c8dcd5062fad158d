"""Training rows of the archive: mature, of one schema, without what a champion has censored."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from prometheus_client import CollectorRegistry

from inference.packages.data_version import Champion
from inference.packages.package import FeatureColumns
from inference.training.training_set import TrainingError, TrainingSet
from monitoring.archive.housekeeper import Housekeeper
from monitoring.archive.metrics import ArchiveMetrics
from monitoring.archive.settings import ArchiveSettings
from monitoring.archive.table import EVENTS, LABELS, ArchiveTable, open_tables
from monitoring.archive.training_rows import Span, read_training_rows, sight
from streams.features.erasures import Erasures

DAY_MS = 86_400_000
START = datetime(2026, 1, 1, 12, tzinfo=UTC)
SCHEMA = "f" * 64
COLUMNS = FeatureColumns(names=("amount", "count"), schema_hash=SCHEMA, definitions={})
SPAN = Span(None, None, 2 * DAY_MS, unlabelled_legitimate=True)
DECLINED, THROUGH, NO_CHANCE = 3, 4, 5
"""Of each ten events: one declined by chance, one let through, one declined without a chance."""


def events(first: int, stop: int, **more: Any) -> pa.Table:
    """Ten events a day, the first one last."""
    ids = range(first, stop)
    times = [START + timedelta(days=each // 10, seconds=-(each % 10)) for each in ids]
    kinds = [each % 10 for each in ids]
    chances = {DECLINED: 0.25, THROUGH: 0.25, NO_CHANCE: 0.0}
    features = [{"count": float(each), "amount": -float(each)} for each in ids]
    columns = {
        "event_id": pa.array(ids, pa.int64()),
        "key": [f"card {each}" for each in ids],
        "event_time": pa.array(times, pa.timestamp("us", "UTC")),
        "decision": ["decline" if kind in (DECLINED, NO_CHANCE) else "approve" for kind in kinds],
        "model": ["ada" if each < 20 else "eve" for each in ids],
        "approve_through": pa.array([chances.get(kind) for kind in kinds], pa.float64()),
        "features": pa.array(features, pa.struct({"count": pa.float32(), "amount": pa.float32()})),
        "feature_schema": [SCHEMA] * len(ids),
        "partition": pa.array([each % 2 for each in ids], pa.int32()),
        "offset": pa.array(ids, pa.int64()),
        "date": [each.date() for each in times],
    }
    return pa.table(columns | more)


def labels(*known: tuple[int, int, float], first: int = 0) -> pa.Table:
    """Labels: an event's, and after how many days."""
    times = [START + timedelta(days=days) for _, _, days in known]
    return pa.table(
        {
            "event_id": pa.array([each for each, _, _ in known], pa.int64()),
            "label": pa.array([label for _, label, _ in known], pa.int8()),
            "time": pa.array(times, pa.timestamp("us", "UTC")),
            "partition": pa.array([0] * len(known), pa.int32()),
            "offset": pa.array(range(first, first + len(known)), pa.int64()),
            "date": [each.date() for each in times],
        }
    )


@pytest.fixture
def tables(tmp_path: Path) -> dict[str, ArchiveTable]:
    """Forty events of four days; labels are complete up to the fourth."""
    tables = open_tables(str(tmp_path), {})
    for first in range(0, 40, 5):
        tables[EVENTS].append(events(first, first + 5), {"log/0": (first, first + 5)})
    # Of the first day: a fraud in time, one too late, one that was declined with and one without
    # a chance. Of the last day one, which is too young.
    known = [(0, 1, 1.0), (1, 1, 2.5), (3, 1, 1.0), (5, 1, 1.0), (35, 1, 3.0)]
    tables[LABELS].append(labels(*known), {"labels/0": (0, 5)})
    return tables


def read(tables: dict[str, ArchiveTable], span: Span = SPAN, **more: Any) -> TrainingSet:
    return read_training_rows(tables, COLUMNS, span, lambda *_: None, **more)


def keeper(tables: dict[str, ArchiveTable], **settings: Any) -> Housekeeper:
    return Housekeeper(
        tables,
        ArchiveSettings(**settings),
        erasures=Erasures(),
        key_field="key",
        leads=lambda: True,
        metrics=ArchiveMetrics(CollectorRegistry()),
    )


def test_rows_are_mature_and_none_is_censored(tables: dict[str, ArchiveTable]) -> None:
    found = read(tables)
    ids = found.matrix[:, 1].astype(int).tolist()
    mature = [each for each in range(20) if each % 10 not in (DECLINED, NO_CHANCE) or each == 5]
    assert sorted(ids) == mature
    assert found.matrix.dtype == np.float32
    np.testing.assert_array_equal(found.matrix[:, 0], -found.matrix[:, 1])
    assert [each for each, label in zip(ids, found.labels, strict=True) if label] == [5, 0]
    assert (np.diff(found.times) >= 0).all()
    weight = dict(zip(ids, found.weights_of(slice(None)), strict=True))
    assert {each for each in ids if weight[each] == 4} == {4, 14}
    assert {weight[each] for each in ids} == {1, 4}
    assert found.version is not None
    assert found.version.champions == {"ada": Champion(rows=17, censored=3)}


def test_whose_an_event_is_and_what_is_at_stake(tmp_path: Path) -> None:
    tables = open_tables(str(tmp_path), {})
    whose = ["b", "a", "c", "a", "b"] * 8
    stakes = pa.array([{"EUR": each % 7} for each in range(40)], pa.struct({"EUR": pa.int64()}))
    tables[EVENTS].append(events(0, 40, key=whose, context=stakes), {"log/0": (0, 40)})
    tables[LABELS].append(labels((0, 1, 1.0), (39, 1, 9.0)), {"labels/0": (0, 2)})
    found = read(tables, stake="EUR")
    ids = found.matrix[:, 1].astype(int)
    assert found.keys is not None
    assert [" abc"[each] for each in found.keys] == [whose[each] for each in ids]
    assert found.stakes.tolist() == [each % 7 for each in ids]
    assert np.isnan(read(tables, stake="USD").stakes).all()
    assert read(tables).stakes is None


def test_files_are_those_that_were_read_though_they_are_compacted_meanwhile(
    tables: dict[str, ArchiveTable],
) -> None:
    before = read(tables).version

    def compacted(step: str, share: float) -> None:
        if not share:
            keeper(tables).tidy()

    found = read_training_rows(tables, COLUMNS, SPAN, compacted)
    assert found.version == before
    assert read(tables).version.files != before.files


def test_a_span_and_what_a_missing_label_says(tables: dict[str, ArchiveTable]) -> None:
    second = int(START.timestamp() * 1_000) + DAY_MS // 2
    assert set(read(tables, SPAN._replace(start=second)).matrix[:, 1]) == {
        each for each in range(10, 20) if each % 10 not in (DECLINED, NO_CHANCE)
    }
    known = read(tables, SPAN._replace(unlabelled_legitimate=False))
    assert known.matrix[:, 1].tolist() == [5, 0]
    late = read(tables, SPAN._replace(label_delay=int(2.9 * DAY_MS), stop=second))
    assert sorted(late.matrix[late.labels == 1, 1]) == [0, 1, 5]
    with pytest.raises(TrainingError, match=r"of its 40 events 40 have .* 20 of these are old"):
        read(tables, SPAN._replace(start=second + 30 * DAY_MS))
    other = COLUMNS.model_copy(update={"schema_hash": "e" * 64})
    with pytest.raises(TrainingError, match="40 events 0 have the features that are declared now"):
        read_training_rows(tables, other, SPAN, lambda *_: None)


def test_what_was_broken_is_left_out(tables: dict[str, ArchiveTable]) -> None:
    every = read(tables)
    first = int(START.timestamp() * 1_000)
    span = SPAN._replace(left_out=((first - 8_000, first - 5_999), (first, first)))
    found = read(tables, span)
    assert set(every.matrix[:, 1]) - set(found.matrix[:, 1]) == {6, 7, 8}
    assert found.version is not None
    assert found.version.left_out == span.left_out
    assert (
        "left out, as data were broken",
        "2026-01-01 11:59:52 UTC to 2026-01-01 11:59:54 UTC",
    ) in found.version.facts()
    assert "left_out" not in every.version.model_dump()
    without = sight(tables, SCHEMA, SPAN._replace(left_out=((first, first + 1),)))
    assert without.labels == sight(tables, SCHEMA, SPAN).labels - 1


def test_files_are_named_with_their_hashes(tables: dict[str, ArchiveTable], tmp_path: Path) -> None:
    version = read(tables).version
    assert version is not None
    assert {name.split("/")[0] for name in version.files} == {EVENTS, LABELS}
    assert len(version.files) == 8 + 2
    for name, hashed in version.files.items():
        assert sha256((tmp_path / name).read_bytes()).hexdigest() == hashed


def test_the_very_rows_are_read_again_whatever_came_since(
    tables: dict[str, ArchiveTable], tmp_path: Path
) -> None:
    first = read(tables)
    tables[EVENTS].append(events(40, 90), {"log/0": (40, 90)})
    more = labels((6, 1, 1.0), (7, 1, 1.0), (80, 1, 9.0), first=5)
    tables[LABELS].append(more, {"labels/0": (5, 8)})
    keeper(tables, undo="0s").tidy()
    assert first.version is not None
    gone = [name for name in first.version.files if not (tmp_path / name).exists()]
    assert gone, "files were compacted"
    now = read(tables)
    assert now.data_sha256 != first.data_sha256
    again = read(tables, again=first.version)
    assert again.data_sha256 == first.data_sha256
    assert again.version == first.version
