"""Which events the demo trains on, which it replays as history, and which it streams live."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from streams.files.event_file import EventFile, open_events
from weir.config.errors import SettingsError
from weir.config.settings import Settings
from weir.simulator import SimulatorSettings, simulate

LIVE_SHARE = 0.25
"""Share of all events that are streamed live, at most; the rest is their history."""

_LEAST_EVENTS = 120_000  # enough frauds to learn from
_FEWEST = 100


@dataclass(frozen=True)
class Scenario:
    """A file of events, split by time.

    Attributes:
        train_from_ms, train_to_ms: training rows; the first fifth has too little history, and
            labels of the last ones are not known yet when live events begin.
        live_from_ms: where live events begin.
        live_to_ms: behind the last of them.
        history, live: numbers of events.
    """

    file: EventFile
    train_from_ms: int
    train_to_ms: int
    live_from_ms: int
    live_to_ms: int
    history: int
    live: int


def simulated_events(folder: Path, settings: Settings, live: int) -> Path:
    """Simulate a world with about `live` events in its last quarter; the file is kept."""
    simulator = SimulatorSettings.for_events(
        max(_LEAST_EVENTS, round(live / LIVE_SHARE)),
        days=settings.simulator.days,
        start=settings.simulator.start,
        seed=settings.simulator.seed,
    )
    path = folder / "transactions.parquet"
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(simulate(simulator), path)
    return path


def plan_scenario(path: Path, settings: Settings, live: int) -> Scenario:
    """Split a file: its last `live` events, at most `LIVE_SHARE` of all, are streamed live.

    Raises:
        EventFileError: the file can't be read as events with labels.
        SettingsError: it is too small, spans less time than labels need, or repeats ids.
    """
    file = open_events(path, settings.event, settings.labels.field)
    times = file.times
    if pc.count_distinct(pa.array(file.events.ids)).as_py() < len(file):
        raise SettingsError(
            f"{path}: some events share their {settings.event.id!r}: answers could not be told "
            "apart; remove the duplicates, or name another column in event.id"
        )
    if len(file) < _FEWEST:
        raise SettingsError(f"{path}: {len(file)} events are too few; take at least {_FEWEST}")
    live = min(live, int(len(file) * LIVE_SHARE))
    live_from = int(times[len(file) - live])
    train_to = live_from - settings.labels.delay
    train_from = int(times[0] + (train_to - times[0]) // 5)
    first, last = np.searchsorted(times, [train_from, train_to])
    if last <= first:
        raise SettingsError(
            f"{path}: its events before the live ones span less than labels.delay: nothing is "
            "left to train on; take a longer file or a shorter delay"
        )
    start, _ = file.span(live_from)
    return Scenario(
        file=file,
        train_from_ms=train_from,
        train_to_ms=train_to,
        live_from_ms=live_from,
        live_to_ms=int(times[-1]) + 1,
        history=start,
        live=len(file) - start,
    )
