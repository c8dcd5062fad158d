"""Draws what the queries of a dashboard had in a live run, panel by panel."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot

from monitoring.ops.dashboards import DASHBOARDS
from tests.ops.prometheus import Prometheus

_COLUMNS = 3
_MOST_LINES = 14


def draw(name: str, prometheus: Prometheus, start: float, end: float, path: Path) -> None:
    """Write a picture of a dashboard, from one moment to another, in seconds since the epoch."""
    title, panels = DASHBOARDS[name]
    rows = -(-len(panels) // _COLUMNS)
    figure, axes = pyplot.subplots(
        rows, _COLUMNS, figsize=(13, 2.5 * rows + 0.4), squeeze=False, layout="constrained"
    )
    for place in axes.flat:
        place.set_visible(False)
    for panel, place in zip(panels, axes.flat, strict=False):
        place.set_visible(True)
        place.set_title(f"{panel.title}  [{panel.unit}]", fontsize=8, loc="left")
        place.tick_params(labelsize=6)
        place.grid(alpha=0.3)
        lines = [
            (_legend(legend, series["metric"]), series["values"])
            for query, legend in panel.queries
            for series in prometheus.history(query, start, end)
        ]
        for label, values in lines[:_MOST_LINES]:
            times = [datetime.fromtimestamp(at, UTC) for at, _ in values]
            place.plot(times, [float(value) for _, value in values], label=label, linewidth=0.9)
        if lines:
            place.legend(fontsize=5, loc="upper left", framealpha=0.6)
        else:
            place.text(0.5, 0.5, "no data", ha="center", transform=place.transAxes, fontsize=8)
        place.xaxis.set_major_formatter(mpl.dates.DateFormatter("%H:%M"))
    figure.suptitle(title, fontsize=10)
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=75)
    pyplot.close(figure)


def _legend(legend: str, labels: Mapping[str, Any]) -> str:
    for label, value in labels.items():
        legend = legend.replace(f"{{{{{label}}}}}", str(value))
    return re.sub(r"\{\{\w+\}\}", "", legend)[:40]
