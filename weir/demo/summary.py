"""What the demo says at its end."""

from pathlib import Path
from typing import Any

import numpy as np

from inference.evaluation.evaluate import evaluate
from inference.evaluation.topic_reading import join_labels, read_labels, read_scores
from streams.kafka.client import KafkaSettings
from weir.config.settings import Settings
from weir.demo.scenario import Scenario
from weir.demo.watcher import Seen


def summarise(
    settings: Settings,
    kafka: KafkaSettings,
    scenario: Scenario,
    seen: Seen,
    *,
    events: int,
    history_rate: float,
    live_rate: float,
    model: str,
    folder: Path,
    trial: dict[str, Any] | None,
) -> dict[str, Any]:
    """Count what stands in the topics, and judge the live events' scores by their labels."""
    scored = read_scores(kafka, settings.topics.scores)
    labels = read_labels(kafka, settings.topics.labels, settings.event)
    live = np.flatnonzero(scored.times >= scenario.live_from_ms)
    ids = [scored.ids[i] for i in live]
    quality = evaluate(
        times_ms=scored.times[live],
        cards=[scored.keys[i] for i in live],
        labels=join_labels(ids, labels),
        scores=scored.scores[live],
        probabilities=scored.probabilities[live],
        decisions=scored.decisions[live],
        k=settings.evaluation.cards_per_day,
        capacity_per_day=settings.evaluation.events_per_day,
    )
    dead = seen.dead_letters.total()
    return {
        "events": events,
        "scored": len(scored.ids),
        "lost": events - len(scored.ids) - dead,
        "duplicated": scored.duplicates,
        "dead_letters": dead,
        "dead_letters_by_reason": dict(seen.dead_letters),
        "events_per_second": round(live_rate, 1),
        "history_events": scenario.history,
        "history_events_per_second": round(history_rate, 1),
        "latency_ms": seen.latency_percentiles((50, 95, 99, 99.9)),
        "decisions": {name: seen.decisions[name] for name in ("approve", "review", "decline")},
        "quality": quality.as_dict(),
        "model": model,
        "policy": settings.policy.version,
        "feature_schema": settings.plan().schema_hash,
        "trial": trial,
        "data_dir": str(folder),
        "settings_file": str(folder / "weir.toml"),
    }
