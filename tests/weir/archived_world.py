"""An archive of simulated payments, as `weir archive` leaves it: features of the scorer's own."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from monitoring.archive.table import EVENTS, LABELS, open_tables
from streams.features.offline import compute_features
from streams.files.event_file import open_events
from weir.config.settings import Settings

RULES = [
    {"name": "far above own mean", "when": ["amount_to_own_mean_30d > 3"]},
    {"name": "busy terminal", "when": ["terminal_frauds_7d > 0.2"]},
    {"name": "another country", "when": ["header:country != 'DE'", "amount > 20"]},
    {
        "name": "routine",
        "when": ["amount_to_own_mean_30d < 1.2", "terminal_frauds_30d = 0"],
        "says": "legitimate",
    },
]


def fill_archive(settings: Settings, file: Path, *verdicts: tuple[int, int, str]) -> None:
    """Write a file's events, and the labels that had come by the last one.

    Args:
        verdicts: an event by its place (-1 is the last one), its label, and which analyst says so.
    """
    events = open_events(file, settings.event, settings.labels.field)
    plan, delay = settings.plan(), settings.labels.delay
    parts = list(compute_features(events, plan, delay, windows=settings.windows))
    matrix = np.concatenate([part.matrix for part in parts]).astype(np.float32)
    assert events.labels is not None
    times, ids = events.times, pa.array(events.events.ids)
    moments = pa.array(times).cast(pa.timestamp("ms", "UTC")).cast(pa.timestamp("us", "UTC"))
    columns = {name: pa.array(matrix[:, place]) for place, name in enumerate(plan.names)}
    countries = np.where(events.labels == 1, "FR", "DE")  # frauds give themselves away
    countries[np.random.default_rng(1).random(len(times)) < 0.05] = "FR"
    rows = {
        "event_id": ids,
        "key": pa.array(map(str, events.events.keys)),
        "event_time": moments,
        "decision": pa.array(np.where(matrix[:, 0] > 150, "review", "approve").tolist()),
        "model": pa.array(["ada"] * len(times)),
        "probability": pa.array(1 / (1 + np.exp(3 - matrix[:, 0] / 100)), pa.float32()),
        "approve_through": pa.nulls(len(times), pa.float64()),
        "features": pa.StructArray.from_arrays(list(columns.values()), list(columns)),
        "context": pa.StructArray.from_arrays([pa.array(countries.tolist())], ["header:country"]),
        "feature_schema": pa.array([plan.schema_hash] * len(times)),
        "partition": pa.array(np.zeros(len(times), np.int32)),
        "offset": pa.array(np.arange(len(times))),
        "date": moments.cast(pa.date32()),
    }
    tables = open_tables(settings.archive.place(settings.data_dir), {})
    tables[EVENTS].append(pa.table(rows), {"log/0": (0, len(times))})
    come = np.flatnonzero(times + delay <= times[-1])
    named = [(events.events.ids[at], events.labels[at], times[at] + delay, None) for at in come]
    named += [(events.events.ids[at], label, times[-1], by) for at, label, by in verdicts]
    at = pa.array([int(time) for _, _, time, _ in named]).cast(pa.timestamp("ms", "UTC"))
    labels = {
        "event_id": pa.array([event for event, *_ in named], ids.type),
        "label": pa.array([int(label) for _, label, *_ in named], pa.int8()),
        "time": at.cast(pa.timestamp("us", "UTC")),
        "by": pa.array([by for *_, by in named], pa.string()),
        "partition": pa.array(np.zeros(len(named), np.int32)),
        "offset": pa.array(np.arange(len(named))),
        "date": at.cast(pa.date32()),
    }
    tables[LABELS].append(pa.table(labels), {"labels/0": (0, len(named))})
