"""Writes the dashboards for Grafana: `python -m monitoring.ops.dashboards`."""

import json
from pathlib import Path
from typing import Any

from monitoring.ops.panel import Panel
from monitoring.ops.panels import DRIFT, ENGINE, LOOP, MODELS, STREAM

FOLDER = Path(__file__).with_name("dashboards")
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_WIDTH, _HEIGHT, _COLUMNS = 8, 8, 3


DASHBOARDS = {
    "stream": ("Weir: stream", STREAM),
    "engine": ("Weir: engine", ENGINE),
    "models": ("Weir: models, shadow and explanations", MODELS),
    "drift": ("Weir: drift", DRIFT),
    "loop": ("Weir: archive and retraining", LOOP),
}
"""By name: title and panels."""


def dashboard(name: str) -> str:
    """The JSON of a dashboard."""
    title, panels = DASHBOARDS[name]
    whole = {
        "uid": f"weir-{name}",
        "title": title,
        "tags": ["weir"],
        "schemaVersion": 39,
        "timezone": "utc",
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {
            "list": [{"name": "datasource", "type": "datasource", "query": "prometheus"}]
        },
        "panels": [_panel(number, each) for number, each in enumerate(panels)],
    }
    return json.dumps(whole, indent=1) + "\n"


def _panel(number: int, panel: Panel) -> dict[str, Any]:
    row, column = divmod(number, _COLUMNS)
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": panel.title,
        "datasource": _SOURCE,
        "gridPos": {"x": column * _WIDTH, "y": row * _HEIGHT, "w": _WIDTH, "h": _HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + place), "expr": query, "legendFormat": legend}
            for place, (query, legend) in enumerate(panel.queries)
        ],
    }


if __name__ == "__main__":
    for name in DASHBOARDS:
        (FOLDER / f"{name}.json").write_text(dashboard(name), encoding="utf-8")
