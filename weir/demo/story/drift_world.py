"""The world of the drift story: simulated transactions, some in cents, some of a new fraud."""

import shutil
import tomllib
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import tomli_w

from weir.broker.state import write_whole
from weir.demo.story.drift import DriftPlot
from weir.demo.story.simulated import between, head, without_features
from weir.simulator import SimulatorSettings, simulate

_EVENTS = 300_000
_LEARN_DAYS = (31, 60)
_LONG = "30d"
"""A mean over so long would know of the cents for a month."""
_DAYS = {"begin": 62, "cents": 68, "euros": 69, "pattern": 72, "end": 75}
_GIFT_CARDS = 0.08
"""Of all transactions; thieves buy them for such amounts."""
_LEAST, _MOST = 180, 260


def write_drift_plot(folder: Path, config: Path) -> DriftPlot:
    """Write events and settings; `config` holds the settings of the demo.

    Models of a story before are gone.
    """
    values = tomllib.loads(config.read_text(encoding="utf-8"))
    data = folder / "data"
    shutil.rmtree(data, ignore_errors=True)  # the story begins with no models
    values = without_features(values, _LONG) | {"data_dir": str(data)}
    write_whole(config, head(config) + tomli_w.dumps(values))
    world = SimulatorSettings.for_events(_EVENTS)
    table = simulate(world)
    start = pc.min(table["time"]).as_py()
    start = datetime.combine(world.start, datetime.min.time(), start.tzinfo)
    first, end = (start + timedelta(days=days) for days in _LEARN_DAYS)
    turns = {name: start + timedelta(days=days) for name, days in _DAYS.items()}
    files = {
        "learned": between(table, "time", start, end),
        "stream": _with_gift_cards(
            in_cents(table, turns["cents"], turns["euros"]),
            turns["pattern"],
            np.random.default_rng(world.seed),
        ),
    }
    for name, part in files.items():
        pq.write_table(part, folder / f"{name}.parquet")
    return DriftPlot(
        learned=folder / "learned.parquet",
        stream=folder / "stream.parquet",
        learn=("--from", f"{first:%Y-%m-%d}", "--to", f"{end:%Y-%m-%d}"),
        **{name: f"{turn:%Y-%m-%d}" for name, turn in turns.items()},
    )


def in_cents(
    table: pa.Table, first: datetime, end: datetime, *, time: str = "time", amount: str = "amount"
) -> pa.Table:
    """A table whose amounts are a hundredfold for a while."""
    times, amounts = table[time], table[amount]
    low, high = (pa.scalar(turn, times.type) for turn in (first, end))
    then = pc.and_(pc.greater_equal(times, low), pc.less(times, high))
    changed = pc.if_else(then, pc.multiply(amounts, 100), amounts).cast(amounts.type)
    return table.set_column(table.column_names.index(amount), amount, changed)


def _with_gift_cards(table: pa.Table, first: datetime, rng: np.random.Generator) -> pa.Table:
    """A table some of whose transactions are gift cards that thieves buy, from then on."""
    then = pc.greater_equal(table["time"], pa.scalar(first, table["time"].type)).to_numpy()
    stolen = pa.array(then & (rng.random(len(table)) < _GIFT_CARDS))
    worth = pa.array(np.round(rng.uniform(_LEAST, _MOST, len(table)), 2))
    for name, value in (("amount", worth), ("is_fraud", 1)):
        column = table[name]
        changed = pc.if_else(stolen, value, column).cast(column.type)
        table = table.set_column(table.column_names.index(name), name, changed)
    return table
