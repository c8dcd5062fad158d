"""`weir evaluate`: how good the scores were, now that labels are known."""

from functools import partial
from itertools import compress
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.table import Table

from inference.evaluation.evaluate import Evaluation
from inference.evaluation.evaluate import evaluate as evaluate_scores
from inference.evaluation.topic_reading import (
    SentEvents,
    join_labels,
    read_events,
    read_labels,
    read_scores,
)
from streams.files.id_file import read_ids
from streams.formats import event_decoder
from streams.kafka.rights.acls import acls_of
from streams.kafka.rights.process import Process
from weir.cli.console import (
    ComputeEngine,
    ConfigOption,
    EngineOption,
    JsonOption,
    QuietOption,
    print_json,
    progress_bar,
    stdout,
)
from weir.cli.dates import FromOption, ToOption, time_range_ms
from weir.config.settings import load_settings
from weir.services.wiring import admitted


def evaluate(
    config: ConfigOption = None,
    start: FromOption = None,
    stop: ToOption = None,
    ids: Annotated[
        Path | None,
        typer.Option(
            help="CSV or Parquet file whose first column names the events to look at. Above ids "
            "that are text, a CSV has the id field's name."
        ),
    ] = None,
    archive: Annotated[
        str | None,
        typer.Option(
            show_default=False,
            help="Judge what --model says of the events of this archive instead: a folder or a "
            "URL. Needs no Kafka.",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            show_default=False, help="With --archive: version or alias; the champion by default."
        ),
    ] = None,
    engine: EngineOption = ComputeEngine.LOCAL,
    as_json: JsonOption = False,
    no_progress: QuietOption = False,
) -> None:
    """Compare what stands in the scores topic with the labels: AUC, average precision, ...

    Card precision@k: of the k most suspicious cards a day, not caught before, the share with
    fraud. Recall at capacity: of all fraud, the share among the events that reviewers can look at
    a day. k and the capacity stand under [evaluation] in the settings.

    --archive judges a model by archived feature vectors and what was known of these events once
    they were mature (comparison.maturity). What was declined then counts where it was let through
    on purpose, or has a label. --engine spark scores them on a cluster.
    """
    if archive is not None:
        if ids is not None:
            raise typer.BadParameter("--ids is for the topics; choose by --from and --to")
        # Imported here: whoever looks at topics has no use for the archive's libraries.
        from weir.commands.models.evaluate_archive import evaluate_archive

        show = not (no_progress or as_json)
        span = time_range_ms(start, stop)
        judged = evaluate_archive(load_settings(config), archive, model, engine, span, show)
        if as_json:
            print_json(judged.as_dict())
        else:
            stdout.print(quality_table(judged))
        return
    if model is not None or engine is ComputeEngine.SPARK:
        raise typer.BadParameter("--model and --engine are for --archive")
    settings = load_settings(config)
    kafka, _ = admitted(settings, partial(acls_of, Process.EVALUATION))
    named = None if ids is None else read_ids(ids, settings.event)
    # Before the scores: what is answered meanwhile counts as answered.
    sent = SentEvents({}, set())
    if named is None:
        decoder = event_decoder(settings.event, settings.schema_registry)
        with progress_bar("reading events", not (no_progress or as_json)) as step:
            sent = read_events(kafka, settings.topics.events, decoder, step)
    with progress_bar("reading scores", not (no_progress or as_json)) as step:
        scored = read_scores(kafka, settings.topics.scores, step)
    with progress_bar("reading labels", not (no_progress or as_json)) as step:
        labels = read_labels(kafka, settings.topics.labels, settings.event, step)
    first, last = time_range_ms(start, stop)
    inside = _inside(scored.times, first, last)
    chosen = np.flatnonzero(inside)
    if named is not None:
        wanted = set(named)
        chosen = chosen[[scored.ids[i] in wanted for i in chosen]]
        repeated = len(named) - len(wanted)
    else:
        times = np.array(list(sent.times.values()), np.int64)
        wanted = set(compress(sent.times, _inside(times, first, last)))
        repeated = len(sent.repeated & wanted)
    unanswered = len(wanted.difference(scored.ids))
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
        print_json(
            {
                **result.as_dict(),
                "unanswered": unanswered,
                "repeated_ids": repeated,
                "duplicates": scored.duplicates,
                "fallbacks": fallbacks,
            }
        )
        return
    stdout.print(quality_table(result))
    where = settings.topics.events if ids is None else str(ids)
    if unanswered:
        stdout.print(f"{unanswered:,} events of {where} have no answer yet", soft_wrap=True)
    if repeated:
        stdout.print(
            f"{repeated:,} ids stand in {where} more than once: of their answers, the first counts",
            soft_wrap=True,
        )
    if fallbacks:
        stdout.print(f"{fallbacks:,} events have no score: the policy's fallback answered them")


def _inside(times: NDArray[np.int64], first: int | None, last: int | None) -> NDArray[np.bool_]:
    """Which times lie from `first` to before `last`, where these are given."""
    inside = np.ones(len(times), np.bool_)
    if first is not None:
        inside &= times >= first
    if last is not None:
        inside &= times < last
    return inside


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
