"""`weir labels rules`: what analysts' rules do, and how right they are."""

import math
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.table import Table

from inference.training.training_set import TrainingError
from inference.training.weak_worth import LabelledPast, weak_label_worth
from inference.weak_labels.coverage import Coverage, cover
from inference.weak_labels.pattern_counts import PatternCounts
from inference.weak_labels.report import DailyCounts, RulesReport, report_on
from inference.weak_labels.track_record import Rate
from inference.weak_labels.voted_rows import VotedRows
from monitoring.archive.verdicts import Analyst, analysts
from weir.cli.console import (
    FAILED,
    ConfigOption,
    JsonOption,
    QuietOption,
    print_json,
    stdout,
    steps_bar,
)
from weir.cli.dates import FromOption, ToOption, moment, parse_duration_ms, time_range_ms
from weir.config.settings import Settings, load_settings
from weir.training.declared import archive_tables
from weir.training.registering import Progress
from weir.training.rule_votes import check_there_are_rules, votes_of_archive, votes_of_file

app = typer.Typer(help="What is held for likely while labels are young.", no_args_is_help=True)
rules_app = typer.Typer(
    help="Analysts' rules: check them, and report on them.", no_args_is_help=True
)
app.add_typer(rules_app, name="rules")

_DAY_MS = 86_400_000
DataOption = Annotated[
    Path | None,
    typer.Option(
        help="Parquet or CSV file of events, in place of the archive.", show_default=False
    ),
]
ArchiveOption = Annotated[
    str | None,
    typer.Option(metavar="PATH", show_default=False, help="The archive; by default archive.url."),
]


@rules_app.command()
def check(
    data: DataOption = None,
    archive: ArchiveOption = None,
    config: ConfigOption = None,
    start: FromOption = None,
    stop: ToOption = None,
    as_json: JsonOption = False,
    no_progress: QuietOption = False,
) -> None:
    """Ask the rules about events, and say how often they fire, overlap and contradict.

    No label is looked at. A rule that never fires, or always; that always abstains, since what it
    reads is missing; or that says what another one says, is a problem: exit code 1 if there is any.
    """
    settings = load_settings(config)
    check_there_are_rules(settings)
    counts = PatternCounts.none(len(settings.labels.rules))
    with steps_bar(not (no_progress or as_json)) as step:
        for rows in _votes(settings, data, archive, start, stop, step):
            unknown = np.full(len(rows.votes), -1, np.int8)
            counts += PatternCounts.of(rows.votes, unknown)
    found = cover(settings.labels.rules, counts)
    if as_json:
        print_json(asdict(found))
    else:
        _show_coverage(settings, found)
    if found.problems:
        raise typer.Exit(FAILED)


@rules_app.command()
def report(
    data: DataOption = None,
    archive: ArchiveOption = None,
    recent: Annotated[
        str,
        typer.Option(
            metavar="DURATION", help="How much of the latest mature time is looked at by itself."
        ),
    ] = "7d",
    config: ConfigOption = None,
    start: FromOption = None,
    stop: ToOption = None,
    as_json: JsonOption = False,
    no_progress: QuietOption = False,
) -> None:
    """Say how right the rules are: estimated from all events, and by the labels that have come.

    A rule that finds fewer frauds of late than it did, or cries wolf more often, has turned bad,
    and is named; so is one that labels speak against. Exit code 1 if there is any. Below stand the
    analysts' verdicts (`weir label`), and how often others, or labels from elsewhere, differ.
    """
    settings = load_settings(config)
    check_there_are_rules(settings)
    days = max(parse_duration_ms(recent, "--recent") // _DAY_MS, 1)
    daily = DailyCounts(settings.labels.rules)
    with steps_bar(not (no_progress or as_json)) as step:
        for rows in _votes(settings, data, archive, start, stop, step):
            daily.add(rows.mature, rows.times, rows.votes, rows.labels, rows.weights)
    found = report_on(daily, days)
    people = [] if data is not None else analysts(archive_tables(settings, archive))
    if as_json:
        print_json(asdict(found) | {"analysts": [each._asdict() for each in people]})
    else:
        _show_report(found)
        _show_analysts(people)
    if found.turned or found.useless:
        raise typer.Exit(FAILED)


@rules_app.command()
def worth(
    data: DataOption = None,
    archive: ArchiveOption = None,
    test_span: Annotated[
        str,
        typer.Option(
            metavar="DURATION", help="How much of the latest mature time models are tested on."
        ),
    ] = "7d",
    config: ConfigOption = None,
    start: FromOption = None,
    stop: ToOption = None,
    as_json: JsonOption = False,
    no_progress: QuietOption = False,
) -> None:
    """Go back in time, and measure what weak labels would have been worth for training.

    At a moment of the past, models are trained on what was known then: with true labels alone, with
    weak ones for the young events, and, to compare, with all labels that came later. All are tested
    on what came after that moment, by its true labels. Nothing is registered.
    """
    settings = load_settings(config)
    check_there_are_rules(settings)
    span_ms = parse_duration_ms(test_span, "--test-span")
    delay = settings.labels.delay if data is not None else settings.terms().maturity
    with steps_bar(not (no_progress or as_json)) as step:
        past = _past(_votes(settings, data, archive, start, stop, step))
        now = int(past.times[-1]) + 1 - span_ms
        found = weak_label_worth(past, now, delay, settings.training, step)
    if as_json:
        print_json({"now_ms": now, **asdict(found)})
        return
    table = Table("trained by " + moment(now, "s"), "average precision after")
    table.add_row(f"{found.trained:,} events with their labels", f"{found.without:.4f}")
    table.add_row(f"and {found.young:,} with weak labels", f"{found.with_weak:.4f}")
    table.add_row("had all labels been known", f"{found.all_known:.4f}")
    stdout.print(table)
    stdout.print(
        f"weak labels gain {found.gain:+.4f} ({found.low:+.4f} to {found.high:+.4f}) on "
        f"{found.tested:,} events with {found.frauds:,} frauds",
        soft_wrap=True,
    )


def _past(voted: Iterator[VotedRows]) -> LabelledPast:
    """The mature events that have a label."""
    parts = [rows for rows in voted if rows.mature]
    if not parts:
        raise TrainingError("no event of this span is mature: no true label has come yet")
    columns = ("matrix", "votes", "labels", "times", "weights")
    past = {name: np.concatenate([getattr(rows, name) for rows in parts]) for name in columns}
    known = past["labels"] >= 0
    return LabelledPast(**{name: column[known] for name, column in past.items()})


def _votes(
    settings: Settings,
    data: Path | None,
    archive: str | None,
    start: str | None,
    stop: str | None,
    progress: Progress,
) -> Iterator[VotedRows]:
    if data is not None and archive is not None:
        raise typer.BadParameter("--data names a file, and --archive an archive: take one of them")
    span = time_range_ms(start, stop)
    if data is not None:
        return votes_of_file(settings, data, span, progress)
    progress("reading the archive", 0.0)
    return votes_of_archive(settings, archive, span)


def _show_coverage(settings: Settings, found: Coverage) -> None:
    table = Table("rule", "says", "fires", "fires alone", "abstains", "fires most together with")
    for rule in settings.labels.rules:
        others = {
            second if first == rule.name else first: share
            for first, row in found.overlaps.items()
            for second, share in row.items()
            if rule.name in (first, second)
        }
        most = max(others, key=others.__getitem__, default="")
        table.add_row(
            rule.name,
            rule.says,
            f"{found.fires[rule.name]:.2%}",
            f"{found.fires_alone[rule.name]:.2%}",
            f"{found.abstains[rule.name]:.2%}",
            f"{most} ({others[most]:.0%})" if most and others[most] else "",
        )
    stdout.print(table)
    stdout.print(
        f"{found.events:,.0f} events: some rule fires for {found.any_rule:.2%}, and "
        f"{found.conflict:.3%} are said to be both"
    )
    for problem in found.problems:
        stdout.print(problem, soft_wrap=True)


def _show_report(found: RulesReport) -> None:
    table = Table()
    table.add_column("rule", no_wrap=True)
    for name in ("fires", "of frauds", "by labels", "of legitimate", "by labels", "right"):
        table.add_column(name)
    for each in found.rules:
        table.add_row(
            each.rule if each.says == "fraud" else f"{each.rule} (says legitimate)",
            f"{each.fires:.2%}",
            f"{each.estimated_true_positive:.1%}",
            _interval(each.true_positive, 1),
            f"{each.estimated_false_positive:.2%}",
            _interval(each.false_positive, 2),
            "" if math.isnan(each.right) else f"{each.right:.1%}",
        )
    stdout.print(table)
    stdout.print(
        f"{found.known:,.0f} mature events with {found.frauds:,.0f} frauds, and "
        f"{found.unknown:,.0f} young ones; 'by labels' is of the mature ones, with 95 % intervals",
        soft_wrap=True,
    )
    for turned in found.turned:
        stdout.print(f"{turned} (the last {found.recent_days} mature days)", soft_wrap=True)
    for rule in found.useless:
        stdout.print(
            f"labels speak against rule {rule!r}: it fires more often for what it does not mean",
            soft_wrap=True,
        )


def _show_analysts(people: list[Analyst]) -> None:
    if not people:
        return
    table = Table("analyst", "verdicts", "beside others'", "differ", "beside labels", "differ")
    for each in people:
        table.add_row(each.name, *(f"{count:,}" for count in each[1:]))
    stdout.print(table)


def _interval(rate: Rate, digits: int) -> str:
    if not rate.events:
        return "no event"
    low, high = 100 * rate.low, 100 * rate.high
    return f"{rate.rate:.{digits}%} ({low:.{digits}f} to {high:.{digits}f})"
