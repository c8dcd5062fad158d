"""The world of the loop story: simulated transactions, a day in cents, and a new kind of fraud."""

import shutil
import tomllib
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import tomli_w

from weir.broker.state import write_whole
from weir.demo.story.drift_world import in_cents
from weir.demo.story.loop import LoopPlot
from weir.demo.story.simulated import between, head, story_settings, without_features
from weir.simulator import SimulatorSettings, simulate

_EVENTS = 900_000
_LONG = "30d"
"""Windows that long would need a month to fill up."""
_EARLY_DAYS, _CHAMPION_DAYS = (8, 15), (8, 22)
_TURNS = {"begin": 15, "settled": 22, "cents": 36, "euros": 37, "pattern": 47, "end": 88}
"""Amounts of a card are alike: ten days of these few events say that all is as it was."""
_CARDS = (75.0, 120.0)
"""What gift cards cost that thieves buy: there are few other payments of just that."""
_GIFT_CARDS = 0.01
"""Of all transactions; there is as much fraud of other kinds."""
_COSTS = {"amount": "amount", "cap": 400, "friction": 10, "review": 2}
LOOP_SECTIONS: dict[str, Any] = {
    "canary": {
        "steps": [0.25, 1.0],
        "hold": "1d",
        "min_events": 200,
        "every": "1s",
        "max_alert_ratio": 10.0,
        "automatic": "promotion",
    },
    "gates": {"enforce": True, "every": "2s", "min_labels": 5_000, "min_frauds": 50},
    "performance": {"baseline_frauds": 200},
    "archive": {"interval": "1s", "compact_every": "1h"},
    "retraining": {"look": "1s", "span": "20d", "min_labels": 5_000, "min_frauds": 100},
}
"""Of the loop: everybody looks as often as a person can wait for."""


def write_loop_plot(folder: Path, config: Path) -> LoopPlot:
    """Write events and settings; `config` holds the settings of the demo.

    Models of a story before are gone.
    """
    values = tomllib.loads(config.read_text(encoding="utf-8"))
    values.pop("policy", None)  # so that each model's own thresholds hold
    data = folder / "data"
    shutil.rmtree(data, ignore_errors=True)  # the story begins with no models
    values = without_features(values, _LONG) | {"data_dir": str(data)}
    values["labels"] = values["labels"] | {"delay": "3d"}
    values = story_settings(values, _COSTS) | LOOP_SECTIONS
    write_whole(config, head(config) + tomli_w.dumps(values))
    world = SimulatorSettings.for_events(_EVENTS)
    table = simulate(world)
    turns = {name: world.start + timedelta(days=days) for name, days in _TURNS.items()}
    rng = np.random.default_rng(world.seed)
    stream = with_gift_cards(
        in_cents(table, _moment(turns["cents"]), _moment(turns["euros"])),
        _moment(turns["pattern"]),
        rng,
    )
    first, settled = _moment(world.start), _moment(turns["settled"])
    files = {"learned": between(table, "time", first, settled), "stream": stream}
    for name, part in files.items():
        pq.write_table(part, folder / f"{name}.parquet")
    return LoopPlot(
        learned=folder / "learned.parquet",
        stream=folder / "stream.parquet",
        early=_learn(world.start, _EARLY_DAYS),
        champion=_learn(world.start, _CHAMPION_DAYS),
        job_folder=data / "jobs",
        **turns,
    )


def with_gift_cards(
    table: pa.Table,
    first: datetime,
    rng: np.random.Generator,
    *,
    time: str = "time",
    amount: str = "amount",
    label: str = "is_fraud",
) -> pa.Table:
    """A table some of whose transactions are gift cards that thieves buy, from then on."""
    then = pc.greater_equal(table[time], pa.scalar(first, table[time].type)).to_numpy()
    stolen = pa.array(then & (rng.random(len(table)) < _GIFT_CARDS))
    worth = pa.array(rng.choice(_CARDS, len(table)))
    for name, value in ((amount, worth), (label, 1)):
        column = table[name]
        changed = pc.if_else(stolen, value, column).cast(column.type)
        table = table.set_column(table.column_names.index(name), name, changed)
    return table


def _learn(start: date, days: tuple[int, int]) -> tuple[str, ...]:
    first, end = (start + timedelta(days=each) for each in days)
    return ("--from", str(first), "--to", str(end))


def _moment(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
