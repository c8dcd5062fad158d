"""What the archive holds for a cause: events in which features were broken count for nothing."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
from front_door import write_settings

from monitoring.archive.table import EVENTS, LABELS, open_tables
from monitoring.retraining.state import Cause
from weir.config.settings import load_settings
from weir.retraining.material import ArchiveMaterial

START = datetime(2026, 1, 1, tzinfo=UTC)
COUNT = 40


def test_events_of_broken_data_are_no_labels_to_learn_from(tmp_path: Path) -> None:
    settings = load_settings(write_settings(tmp_path / "weir.toml", data_dir=str(tmp_path)))
    days = range(COUNT)
    times = [START + timedelta(days=each) for each in days]
    stamps = pa.array(times, pa.timestamp("us", "UTC"))
    places = {"partition": pa.array([0] * COUNT, pa.int32()), "offset": pa.array(days, pa.int64())}
    common = places | {
        "event_id": [str(each) for each in days],
        "date": [each.date() for each in times],
    }
    event = {
        "event_time": stamps,
        "decision": ["approve"] * COUNT,
        "approve_through": pa.array([None] * COUNT, pa.float64()),
        "feature_schema": [settings.plan().schema_hash] * COUNT,
    }
    label = {"time": stamps, "label": pa.array([each % 2 for each in days], pa.int8())}
    tables = open_tables(settings.archive.place(tmp_path), {})
    tables[EVENTS].append(pa.table(common | event), {"log/0": (0, COUNT)})
    tables[LABELS].append(pa.table(common | label), {"labels/0": (0, COUNT)})

    material, cause = ArchiveMaterial(settings), Cause("schedule", "c", "it is time")
    every = material.of(cause, "champion", ())
    assert every is not None, material.hindrance
    first = int(START.timestamp() * 1_000)
    ten_days = (first, first + 10 * 86_400_000)
    without = material.of(cause, "champion", (ten_days,))
    assert without is not None
    assert (every.labels - without.labels, every.frauds - without.frauds) == (10, 5)
    assert material.of(cause, "champion", (ten_days,)) is without, "what was asked a moment ago"
