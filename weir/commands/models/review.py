"""`weir review next`: which events reviewers should look at."""

from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import typer
from rich.table import Table

from inference.weak_labels.dawid_skene import fit_rates
from inference.weak_labels.pattern_counts import PatternCounts
from inference.weak_labels.review import choose
from inference.weak_labels.young import chance_of_the_rest
from weir.cli.console import ConfigOption, JsonOption, QuietOption, print_json, stdout, steps_bar
from weir.cli.dates import FromOption, ToOption, moment, time_range_ms
from weir.commands.models.labels import ArchiveOption
from weir.config.settings import Settings, load_settings
from weir.training.rule_votes import check_there_are_rules, votes_of_archive

app = typer.Typer(help="What reviewers look at next.", no_args_is_help=True)


@app.callback()
def review() -> None:
    """What reviewers look at next."""


@app.command("next")
def next_events(
    archive: ArchiveOption = None,
    capacity: Annotated[
        int | None,
        typer.Option(
            min=1,
            show_default="evaluation.events_per_day",
            help="How many events can be looked at.",
        ),
    ] = None,
    config: ConfigOption = None,
    start: FromOption = None,
    stop: ToOption = None,
    as_json: JsonOption = False,
    no_progress: QuietOption = False,
) -> None:
    """Name the young events to look at next, of those that have no label.

    Most are events that the policy wants reviewed, the riskiest first. A share of the capacity,
    review.learning_share, goes to events of any decision whose label teaches most: those of which
    the model or labels.rules are unsure, or on which they differ. These are drawn by a seed, so the
    same archive gives the same list. Tell what came of it by `weir label`.
    """
    settings = load_settings(config)
    check_there_are_rules(settings)
    with steps_bar(not (no_progress or as_json)) as step:
        step("asking the rules", 0.0)
        young, chance = _young(settings, archive, time_range_ms(start, stop))
    wanted = capacity or settings.evaluation.events_per_day
    probability = young["probability"].to_numpy().astype(np.float64)
    found = choose(
        probability,
        chance,
        young["decision"].to_numpy() == "review",
        wanted,
        settings.review.learning_share,
        np.random.default_rng(settings.review.seed),
    )
    rows = [
        {
            "event_id": young["event_id"][at].as_py(),
            "key": young["key"][at].as_py(),
            "time_ms": young["event_time"][at].value // 1_000,
            "decision": young["decision"][at].as_py(),
            "probability": float(probability[at]),
            "rules": float(chance[at]),
            "value": float(found.value[at]),
            "why": why,
        }
        for why, places in (("risk", found.risky), ("teaches", found.instructive))
        for at in places.tolist()
    ]
    if as_json:
        print_json({"unlabelled": young.num_rows, "capacity": wanted, "events": rows})
        return
    _show(rows)
    stdout.print(f"{len(rows):,} of {young.num_rows:,} young events without a label")


def _young(
    settings: Settings, archive: str | None, span: tuple[int | None, int | None]
) -> tuple[pa.Table, Any]:
    """Answers of the young events that have no label, and the chance of fraud by the rules."""
    counts, young = PatternCounts.none(len(settings.labels.rules)), []
    for rows in votes_of_archive(settings, archive, span):
        known = rows.labels if rows.mature else np.full(len(rows.labels), -1, np.int8)
        counts += PatternCounts.of(rows.votes, known, rows.weights)
        if not rows.mature:
            young.append(rows)
    if not young:
        raise typer.BadParameter("no event of this span is young: there is nothing to look at")
    labels = np.concatenate([rows.labels for rows in young])
    places = counts.place_of(np.concatenate([rows.votes for rows in young]))
    chance = chance_of_the_rest(fit_rates(counts).chance[places], labels)
    open_ones = np.flatnonzero(labels < 0)
    answers = pa.Table.from_batches([rows.answers for rows in young if rows.answers is not None])
    return answers.take(open_ones), chance[open_ones]


def _show(rows: list[dict[str, Any]]) -> None:
    table = Table("event", "of", "time", "decision", "model", "rules", "why")
    for row in rows:
        why = row["why"] if row["why"] == "risk" else f"teaches {row['value']:.2f} bits"
        table.add_row(
            str(row["event_id"]),
            str(row["key"]),
            moment(row["time_ms"], "s"),
            row["decision"],
            f"{row['probability']:.3f}",
            f"{row['rules']:.3f}",
            why,
        )
    stdout.print(table)
