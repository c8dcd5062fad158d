"""The world in which `weir demo --story` plays: settings and files of simulated transactions."""

import shutil
import tomllib
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import tomli_w

from weir.broker.state import write_whole
from weir.demo.story.shadow import Plot
from weir.simulator import SimulatorSettings, simulate

_EVENTS = 400_000
_LEARN_DAYS = (30, 45)
_JUDGED_DAY = 73
_RATE = 1_000

_COSTS = {"amount": "amount", "cap": 400, "friction": 10, "review": 2}
SECTIONS: dict[str, Any] = {
    # All of it is compared: what a shadow that lags leaves out would be missed.
    "shadow": {"max_lag": 1_000_000},
    "canary": {"steps": [0.05, 0.25, 1.0], "hold": "2d", "every": "1s", "false_alarms": "30d"},
    "gates": {"enforce": True, "every": "10s"},
}
"""Of any story: steps of two days, and looks that a person can wait for."""


def story_settings(values: dict[str, Any], costs: dict[str, Any]) -> dict[str, Any]:
    """Settings with what a story needs besides."""
    amount = {"feature_log": {"include": [costs["amount"]]}, "policy": {"costs": costs}}
    return values | amount | SECTIONS


def without_features(values: dict[str, Any], word: str) -> dict[str, Any]:
    """Settings without the features whose names hold a word, and without rules that name one."""
    kept = [each for each in values["features"] if word not in each["name"].lower()]
    gone = {each["name"] for each in values["features"] if each not in kept}
    labels = values.get("labels", {})
    rules = [
        each
        for each in labels.get("rules", [])
        if not any(condition.split()[0] in gone for condition in each["when"])
    ]
    labels = labels | {"rules": rules} if "rules" in labels else labels
    return values | {"features": kept, "labels": labels}


def for_a_third(values: dict[str, Any]) -> dict[str, Any]:
    """Settings by which a model's thresholds are set for a third of all events."""
    return values | {"training": values.get("training", {}) | {"review_alert_rate": 0.33}}


def between(table: pa.Table, column: str, first: datetime, end: datetime) -> pa.Table:
    """Rows of a time; the end is left out."""
    times = table[column]
    low, high = (pa.scalar(moment, times.type) for moment in (first, end))
    return table.filter(pc.and_(pc.greater_equal(times, low), pc.less(times, high)))


def write_plot(folder: Path, config: Path) -> Plot:
    """Write events and all settings files; `config` holds the settings of the demo.

    Models of a story before are gone.
    """
    values = tomllib.loads(config.read_text(encoding="utf-8"))
    values.pop("policy", None)  # so that each model's own thresholds hold
    data = folder / "data"
    shutil.rmtree(data, ignore_errors=True)  # the story begins with no models
    whole = story_settings(values | {"data_dir": str(data)}, _COSTS)
    write_whole(config, head(config) + tomli_w.dumps(whole))
    blind, strict = folder / "blind.toml", folder / "strict.toml"
    write_whole(blind, tomli_w.dumps(without_features(whole, "terminal")))
    write_whole(strict, tomli_w.dumps(for_a_third(whole)))
    world = SimulatorSettings.for_events(_EVENTS)
    table = simulate(world)
    start = datetime.combine(world.start, datetime.min.time())
    first, end = (start + timedelta(days=days) for days in _LEARN_DAYS)
    zoned = table["time"].type.tz is not None
    begin = pc.min(table["time"]).as_py()
    last = end.replace(tzinfo=begin.tzinfo) if zoned else end
    files = {"learned": between(table, "time", begin, last), "stream": table}
    for name, part in files.items():
        pq.write_table(part, folder / f"{name}.parquet")
    judged = start + timedelta(days=_JUDGED_DAY)
    return Plot(
        learned=folder / "learned.parquet",
        stream=folder / "stream.parquet",
        blind=blind,
        strict=strict,
        learn=("--from", f"{first:%Y-%m-%d}", "--to", f"{end:%Y-%m-%d}"),
        begin=f"{end:%Y-%m-%d}",
        judged=f"{judged:%Y-%m-%d}",
        rate=_RATE,
    )


def head(config: Path) -> str:
    """The comment with which the demo's settings file begins: it says whose the folder is."""
    first, _, _ = config.read_text(encoding="utf-8").partition("\n")
    return first + "\n"
