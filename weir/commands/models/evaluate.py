"""`weir evaluate`: how good the scores were, now that labels are known."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.table import Table

from inference.evaluation.evaluate import Evaluation
from inference.evaluation.evaluate import evaluate as evaluate_scores
from inference.evaluation.topic_reading import join_labels, read_labels, read_scores
from streams.files.id_file import read_ids
from streams.kafka.acls import Process, acls_of
from weir.cli.console import ConfigOption, JsonOption, QuietOption, print_json, progress_bar, stdout
from weir.cli.dates import FromOption, ToOption, time_range_ms
from weir.config.settings import load_settings
from weir.services.wiring import admitted


def evaluate(
    config: ConfigOption = None,
    start: FromOption = None,
    stop: ToOption = None,
    ids: Annotated[
        Path | None,
        typer.Option(help="CSV or Parquet file whose first column names the events to look at."),
    ] = None,
    as_json: JsonOption = False,
    no_progress: QuietOption = False,
) -> None:
    """Compare what stands in the scores topic with the labels: AUC, average precision, ...

    Card precision@k: of the k most suspicious cards a day, not caught before, the share with
    fraud. Recall at capacity: of all fraud, the share among the events that reviewers can look at
    a day. k and the capacity stand under [evaluation] in the settings.
    """
    settings = load_settings(config)
    kafka, _ = admitted(settings, partial(acls_of, Process.EVALUATION))
    with progress_bar("reading scores", not (no_progress or as_json)) as step:
        scored = read_scores(kafka, settings.topics.scores, step)
    with progress_bar("reading labels", not (no_progress or as_json)) as step:
        labels = read_labels(kafka, settings.topics.labels, settings.event, step)
    first, last = time_range_ms(start, stop)
    inside = np.ones(len(scored.ids), bool)
    if first is not None:
        inside &= scored.times >= first
    if last is not None:
        inside &= scored.times < last
    chosen = np.flatnonzero(inside)
    if ids is not None:
        wanted = set(read_ids(ids, settings.event))
        chosen = chosen[[scored.ids[i] in wanted for i in chosen]]
    scored_by_model = ~np.isnan(scored.scores[chosen])
    fallbacks = int((~scored_by_model).sum())
    chosen = chosen[scored_by_model]
    result = evaluate_scores(
        times_ms=scored.times[chosen],
        cards=np.array(scored.keys, dtype=object)[chosen],
        labels=join_labels([scored.ids[i] for i in chosen], labels),
        scores=scored.scores[chosen],
        probabilities=scored.probabilities[chosen],
        decisions=scored.decisions[chosen],
        k=settings.evaluation.cards_per_day,
        capacity_per_day=settings.evaluation.events_per_day,
    )
    if as_json:
        print_json({**result.as_dict(), "duplicates": scored.duplicates, "fallbacks": fallbacks})
        return
    stdout.print(quality_table(result))
    if fallbacks:
        stdout.print(f"{fallbacks:,} events have no score: the policy's fallback answered them")


def quality_table(result: Evaluation) -> Table:
    """The figures as a table for people."""
    values: dict[str, Any] = result.as_dict()
    table = Table(title="Quality of the scores", title_justify="left")
    table.add_column("figure")
    table.add_column("value", justify="right")
    for name, value in values.items():
        if isinstance(value, int | float):
            text = f"{value:,}" if isinstance(value, int) else f"{value:.4f}"
            table.add_row(name.replace("_", " "), text)
    for name, reason in values.get("undefined", {}).items():
        table.add_row(name.replace("_", " "), f"- ({reason})")
    return table
