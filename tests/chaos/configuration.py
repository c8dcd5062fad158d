"""The settings file that every scorer of a campaign gets, and the features that it declares."""

from pathlib import Path
from typing import Any

import tomli_w

PARTITIONS = 4
MOST_PARTITIONS = 6
"""Of events and labels, when faults have added some."""
GROUP = "chaos"
SHADOW_GROUP = "chaos-shadow"
JOIN_GROUP = f"{SHADOW_GROUP}-join"
MONITOR_GROUP = "chaos-monitor"
DRIFT_GROUP = f"{MONITOR_GROUP}-drift"
TOPICS = {
    role: f"chaos.{role.replace('_', '-')}"
    for role in (
        "events",
        "scores",
        "feature_log",
        "dead_letters",
        "labels",
        "snapshots",
        "control",
        "reports",
        "positions",
        "shadow_scores",
        "shadow_evidence",
        "drift_counts",
        "drift_state",
        "drift",
        "performance_state",
    )
}

READERS = {
    SHADOW_GROUP: "feature_log",
    JOIN_GROUP: "shadow_scores",
    MONITOR_GROUP: "feature_log",
    DRIFT_GROUP: "drift_counts",
}
"""What each group beside the scorers' reads, in the order of the flow."""
CELL_MS = 600_000
"""Of the monitor: a minute of this stream has seven events."""
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
LATENESS_MS = HOUR_MS
LABEL_DELAY_MS = DAY_MS
MAX_BYTES = 20_000
MAX_CARD = 40
SESSION_S = 4.0
TRANSACTION_S = 15.0
MAX_LAG = 1_000
"""Records of the feature log from which on a shadow sheds load: so it does, now and then."""

_CARD = {"kind": "window", "entity": "card"}
_TERMINAL = {"kind": "window", "entity": "terminal"}

FEATURES: list[dict[str, Any]] = [
    {"name": "amount", "kind": "field", "field": "amount"},
    {"name": "hour", "kind": "calendar", "part": "hour"},
    {"name": "count_1h", **_CARD, "aggregate": "count", "window": "1h"},
    {"name": "count_3d", **_CARD, "aggregate": "count", "window": "3d"},
    {"name": "sum_1d", **_CARD, "aggregate": "sum", "field": "amount", "window": "1d"},
    {"name": "mean_3d", **_CARD, "aggregate": "mean", "field": "amount", "window": "3d"},
    {"name": "min_1d", **_CARD, "aggregate": "min", "field": "amount", "window": "1d"},
    {"name": "max_1d", **_CARD, "aggregate": "max", "field": "amount", "window": "1d"},
    {"name": "std_1d", **_CARD, "aggregate": "std", "field": "amount", "window": "1d"},
    {"name": "devices_1d", **_CARD, "aggregate": "distinct", "field": "device", "window": "1d"},
    {"name": "last_1d", **_CARD, "aggregate": "last", "field": "amount", "window": "1d"},
    {"name": "since_3d", **_CARD, "aggregate": "time_since", "window": "3d"},
    {
        "name": "usual_3d",
        "kind": "history_ratio",
        "entity": "card",
        "field": "amount",
        "window": "3d",
        "empty": 1.0,
    },
    {"name": "shop_count_1d", **_TERMINAL, "aggregate": "count", "window": "1d"},
    {"name": "shop_sum_2d", **_TERMINAL, "aggregate": "sum", "field": "amount", "window": "2d"},
    {"name": "shop_before", **_TERMINAL, "aggregate": "count", "window": "1d", "delay": "1d"},
    {
        "name": "shop_frauds",
        "kind": "label",
        "entity": "terminal",
        "aggregate": "count",
        "window": "2d",
        "delay": "1d",
    },
    {
        "name": "shop_risk",
        "kind": "label",
        "entity": "terminal",
        "aggregate": "rate",
        "window": "1d",
        "delay": "1d",
    },
]
"""What the model is trained on."""

MORE_FEATURES: list[dict[str, Any]] = [
    {"name": "count_2d", **_CARD, "aggregate": "count", "window": "2d"},
    {"name": "shop_max_1h", **_TERMINAL, "aggregate": "max", "field": "amount", "window": "1h"},
]
"""What a changed settings file declares besides; the model does not read them."""


def settings(
    folder: Path,
    bootstrap_servers: str,
    group_protocol: str = "classic",
    topology: str = "fused",
    *,
    keyed: bool = True,
    deduplicate: str | None = None,
) -> dict[str, Any]:
    """What ``weir.toml`` holds: small batches and short sessions, so that much happens.

    Args:
        keyed: see `streams.stages.common.names.StageTopics`.
    """
    return {
        "data_dir": str(folder),
        "kafka": {
            "bootstrap_servers": bootstrap_servers,
            "properties": {"reconnect.backoff.max.ms": 1_000},
        },
        # The world has a clock of its own: its records' timestamps count, and not the broker's.
        "topics": {
            "partitions": PARTITIONS,
            **TOPICS,
            "config": {
                role: {"message.timestamp.type": "CreateTime"} for role in ("events", "labels")
            },
        },
        "event": {
            "id": "id",
            "time": "at",
            "key": "card",
            "max_bytes": MAX_BYTES,
            **({"deduplicate": deduplicate} if deduplicate else {}),
            "fields": {
                "id": {"type": "int"},
                "card": {"type": "string", "max_length": MAX_CARD},
                "terminal": {"type": "int", "required": False},
                "amount": {"type": "float", "min": 0, "max": 1_000_000},
                "device": {"type": "string", "required": False},
            },
        },
        "labels": {"field": "is_fraud", "delay": "1d"},
        "windows": {"allowed_lateness": "1h"},
        # A partition that is silent is waited for: so the order is one of the topics' content.
        "alignment": {"max_idle": "30m", "max_hold": "30m"},
        "loop": {
            "group": GROUP,
            "topology": topology,
            "group_protocol": group_protocol,
            "max_batch": 1_000,
            "session_timeout": f"{SESSION_S:.0f}s",
            "transaction_timeout": f"{TRANSACTION_S:.0f}s",
        },
        "stages": {"keyed": keyed},
        "shadow": {
            "group": SHADOW_GROUP,
            "max_lag": MAX_LAG,
            "session_timeout": f"{SESSION_S:.0f}s",
            "transaction_timeout": f"{TRANSACTION_S:.0f}s",
        },
        "monitor": {
            "group": MONITOR_GROUP,
            "interval": f"{CELL_MS}ms",
            "session_timeout": f"{SESSION_S:.0f}s",
            "transaction_timeout": f"{TRANSACTION_S:.0f}s",
        },
        "snapshots": {"every_events": 20_000, "every": "10s"},
        "metrics": {"port": 0},
        "training": {
            "holdout_fraction": 0.3,
            "trees": {"rounds": 10, "max_bin": 63},
            "autoencoder": {"epochs": 2},
            "threads": 1,
        },
        "features": FEATURES,
    }


def write(path: Path, values: dict[str, Any]) -> Path:
    """Write a settings file and return its path."""
    path.write_text(tomli_w.dumps(values))
    return path
