"""`weir performance`: how well a model did, day by day, from the store of cohorts."""

from collections.abc import Mapping
from dataclasses import asdict
from math import isnan
from typing import Annotated, Any

import typer
from rich.table import Table

from monitoring.performance.cohorts.cohort import DAY, CohortKey, Group, date_of
from monitoring.performance.cohorts.figures import Figures, Measured
from monitoring.performance.estimate import Estimate, Estimated, estimate
from monitoring.performance.findings import Findings, find, is_whole
from monitoring.performance.store import KeptCohort
from streams.base.section import format_duration
from weir.cli.console import ConfigOption, JsonOption, print_json, stdout
from weir.cli.dates import FromOption, ToOption, time_range_ms
from weir.config.settings import Settings, load_settings

_DAYS = 14
_AGES = (1, 2, 3, 7, 14, 30, 60)
"""Days, at which the maturity curve is shown."""


def performance(
    config: ConfigOption = None,
    start: FromOption = None,
    stop: ToOption = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL", help="Only answers of this model: its package's id, or its beginning."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show how well models did, day by day: precision, recall, average precision, cost.

    It reads the store that `weir monitor` writes. By default it shows the last 14 days that stand
    there. What labels have not told yet is estimated from probabilities, and marked by ~; by ?
    where these have turned out not to be true.
    """
    settings = load_settings(config)
    first, end = time_range_ms(start, stop)
    with settings.performance.open_store(settings.data_dir, make=False) as store:
        kept = store.read(None, None if end is None else -(-end // DAY), model)
    found = find(kept, settings.terms(), settings.performance)
    last = max((key.day for key in kept), default=0)
    begin = last - _DAYS + 1 if first is None else first // DAY
    shown = {key: cohort for key, cohort in kept.items() if key.day >= begin}
    if as_json:
        print_json(_as_dict(shown, found, settings.terms().maturity))
        return
    if not shown:
        stdout.print("no cohort of that time stands in the store")
        return
    stdout.print(_table(shown, found, settings))
    for group, findings in found.items():
        if any(key.model == group.model and key.segment == group.segment for key in shown):
            for line in _said(group, findings):
                stdout.print(line, soft_wrap=True)


def _table(
    cohorts: Mapping[CohortKey, KeptCohort], found: Mapping[Group, Findings], settings: Settings
) -> Table:
    maturity = settings.terms().maturity
    table = Table(title=f"performance by day; an event is mature after {format_duration(maturity)}")
    table.add_column("day")
    table.add_column("model")
    for name in ("events", "alerts", "anomalies", "mature", "precision", "recall"):
        table.add_column(name, justify="right")
    table.add_column("average precision", justify="right")
    table.add_column("cost per event", justify="right")
    for key, kept in cohorts.items():
        cohort, truth = kept.cohort, kept.cohort.truth
        figures, expected = Figures.of(truth), _estimate(key, kept, found)
        whole = is_whole(key.day, kept, maturity)
        table.add_row(
            str(date_of(key.day)),
            f"{key.model} {key.segment}".strip(),
            f"{cohort.events:,}",
            f"{cohort.alerts / cohort.events:.2%}" if cohort.events else "-",
            f"{cohort.anomalous / cohort.events:.2%}" if cohort.events else "-",
            f"{truth.events:,}",
            _cell(figures.precision if whole else None, expected.precision, expected),
            _cell(figures.recall if whole else None, expected.recall, expected),
            _cell(figures.average_precision if whole else None, None, expected),
            _cell(figures.cost if whole else None, expected.cost, expected),
        )
    return table


def _estimate(key: CohortKey, kept: KeptCohort, found: Mapping[Group, Findings]) -> Estimate:
    findings = found.get(Group(key.model, key.segment))
    return estimate(kept.cohort, None if findings is None else findings.not_trusted)


def _cell(known: Measured | None, expected: Estimated | None, of: Estimate) -> str:
    if known is not None and not isnan(known.value):
        return f"{known.value:.3f}"
    if known is None and expected is not None:
        mark = "~" if of.not_trusted is None else "?"
        return f"{mark}{expected.value:.3f} ({expected.low:.3f}–{expected.high:.3f})"
    return "-"


def _said(group: Group, found: Findings) -> list[str]:
    name = f"{group.model} {group.segment}".strip()
    lines = []
    for loss in found.losses:
        lines.append(
            f"performance loss of {name}: {loss.figure.replace('_', ' ')} {loss.found:.4f} since "
            f"{date_of(loss.since)}, where {loss.limit:.4f} would be none; evidence "
            f"{loss.evidence:.1f}, enough from {loss.enough:.1f} on: train anew"
        )
    if not found.has_reference:
        lines.append(f"{name}: too few mature frauds yet to tell a loss of performance")
    if found.not_trusted is not None:
        lines.append(f"{name}: estimates (?) are not to be trusted: {found.not_trusted}")
    if found.late_labels is not None:
        lines.append(f"{name}: {found.late_labels}")
    if shares := _shares(found):
        said = ", ".join(f"{share:.0%} after {days} d" for days, share in shares.items())
        horizon = found.curve.delays[-1] / DAY
        lines.append(f"{name}: of frauds that are known after {horizon:.1f} d, {said}")
    return lines


def _shares(found: Findings) -> dict[int, float]:
    shares = {days: found.curve.at(days * DAY) for days in _AGES}
    return {days: share for days, share in shares.items() if not isnan(share)}


def _as_dict(
    cohorts: Mapping[CohortKey, KeptCohort], found: Mapping[Group, Findings], maturity: int
) -> dict[str, Any]:
    return {
        "days": [_day_dict(key, kept, found, maturity) for key, kept in cohorts.items()],
        "models": [
            {
                **group._asdict(),
                "performance_loss": [
                    {**asdict(loss), "since": str(date_of(loss.since))} for loss in each.losses
                ],
                "has_reference": each.has_reference,
                "not_trusted": each.not_trusted,
                "late_labels": each.late_labels,
                "known_after_days": _shares(each),
            }
            for group, each in found.items()
        ],
    }


def _day_dict(
    key: CohortKey, kept: KeptCohort, found: Mapping[Group, Findings], maturity: int
) -> dict[str, Any]:
    cohort, truth = kept.cohort, kept.cohort.truth
    expected, figures = _estimate(key, kept, found), Figures.of(truth)
    return {
        "day": str(date_of(key.day)),
        "model": key.model,
        "segment": key.segment,
        "terms": key.terms,
        "whole": is_whole(key.day, kept, maturity),
        "events": cohort.events,
        "alerts": cohort.alerts,
        "anomalous": cohort.anomalous,
        "shed": cohort.shed,
        "mature": truth.events,
        "unlabelled": truth.unlabelled,
        "frauds": sum(truth.frauds),
        "caught": truth.caught,
        "false_alerts": truth.false_alerts,
        **{name: measured.value for name, measured in vars(figures).items()},
        "estimated": {
            name: value._asdict() if isinstance(value, Estimated) else value
            for name, value in vars(expected).items()
        },
    }
