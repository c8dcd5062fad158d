"""What the shadow found: the verdict on costs, what it rests on, and how the evidence went."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from inference.policy.policy import DECISIONS
from inference.shadow.comparison.comparison import Verdict
from inference.shadow.comparison.score_cells import score_edges
from streams.base.clock import utc
from weir.dossier.blocks import (
    Bar,
    Bars,
    Block,
    Cell,
    Cells,
    Line,
    Plot,
    PlotLine,
    Point,
    Role,
    Section,
    Table,
    Tone,
    count,
    facts,
    figure,
    interval,
    row,
    share,
)
from weir.dossier.found import CostFigures, Found, Needed, Right, SliceFigures
from weir.dossier.history import Look

_MOST_POINTS = 400
"""Of one line: more than a page can show."""
_MOST_RATES = 10
_WORST = 8
"""Slices of a field."""

_SERIES: tuple[tuple[str, str, Role], ...] = (
    ("log_better", "costs less", "better"),
    ("log_no_worse", "costs no more than the margin more", "no worse"),
    ("log_worse", "costs more", "worse"),
)
"""Evidence: its name in a record, in words, and how it is drawn."""

_VERDICTS: dict[Verdict, Cell] = {
    Verdict.BETTER: Cell("better: it costs less than the champion", "good"),
    Verdict.NO_WORSE: Cell("no worse: it costs no more than the margin more", "good"),
    Verdict.WORSE: Cell("worse: it costs more than the champion", "bad"),
    Verdict.INCONCLUSIVE: Cell("inconclusive, which is no pass", "unsure"),
    Verdict.NO_COSTS: Cell("none: policy.costs says nothing of what decisions cost", "unsure"),
}


def shadow_section(look: Look | None, version: int) -> Section:
    """The last comparison."""
    title = "In the shadow"
    if look is None:
        text = (
            "Nothing was found of it in the shadow, or it is kept no more. "
            f"`weir shadow add {version}`, then `weir shadow` and `weir judge`, would find it."
        )
        return Section(title, (Line(text),))
    record, found = look.record, look.found
    verdict = _VERDICTS[record.verdict]
    blocks: list[Block] = [
        Table(("", ""), (row("verdict on costs", verdict),), (0.291, 0.709)),
        facts(
            ("candidate", f"{record.name}, model {found.candidate}"),
            ("champion, policy", f"{found.champion}, policy {found.policy}"),
            ("events", _events(found)),
            ("mature", _mature(found)),
            ("left out", ", ".join(f"{n:,} {why}" for why, n in found.left_out.items())),
        ),
    ]
    if found.cost is not None:
        blocks += [_costs(found.cost), _evidence(found.cost)]
    blocks += [_figures(found), _decisions(found)]
    if found.flips_at_rate:
        blocks.append(_flips(found))
    blocks += [*_scores(found), *_slices(found)]
    return Section(title, tuple(blocks), f"last compared {utc(record.at, 's')}")


def _scores(found: Found) -> Iterator[Block]:
    about = (
        "Probability of fraud by the champion and by the candidate, both as logits: the darker, "
        "the more events"
    )
    counts = {(i, j): events for i, j, events in found.score_cells if events}
    if counts:
        names = ("champion's probability", "candidate's probability")
        yield Cells(about, *names, score_edges(), counts)


def _slices(found: Found) -> Iterator[Block]:
    for field, slices in found.slices.items():
        bars = tuple(_bar(each) for each in slices[:_WORST] if each.events)
        if bars:
            about = f"Share of events with other decisions by {field}, the worst slices first"
            yield Bars(about, f"events with other decisions, by {field}: the worst slices", bars)


def _bar(each: SliceFigures) -> Bar:
    note = f"{each.flips:,} of {each.events:,}"
    if each.saved is not None:
        note += f", saved {each.saved:+,.0f}"
    label = "–" if each.value is None else str(each.value)
    tone: Tone = "bad" if each.saved is not None and each.saved < 0 else ""
    return Bar(label, each.flips / each.events, note, tone)


def evidence_section(looks: Sequence[Look]) -> tuple[Section, ...]:
    """How the evidence went, look by look; nothing where no look was at costs."""
    told = [(look, look.found.cost) for look in looks if look.found.cost is not None]
    if not told:
        return ()
    last, cost = told[-1]
    stretches = [list(each) for _, each in groupby(told, lambda each: each[0].pairing)]
    lines = list(_lines(stretches))
    most = max(look.found.mature for look, _ in told) or 1
    bound = (Point(0, cost.bound), Point(most, cost.bound))
    lines.append(PlotLine("enough for a verdict", bound, "bound"))
    about = (
        f"Evidence over mature events at {len(told):,} looks; the last one at "
        f"{last.found.mature:,} mature events"
    )
    blocks: list[Block] = [
        Plot(about, "mature events", "evidence (natural logarithm)", tuple(lines))
    ]
    if len(stretches) > 1:
        blocks.append(
            Line(
                f"Evidence began anew {len(stretches) - 1:,} times, with another champion, policy "
                "or name of the candidate; what came before is drawn pale.",
                small=True,
            )
        )
    since = utc(told[0][0].record.at, "s")
    note = f"{len(told):,} looks since {since}" if len(told) > 1 else "one look"
    return (Section("How the evidence went", tuple(blocks), note),)


def _lines(stretches: list[list[tuple[Look, CostFigures]]]) -> Iterator[PlotLine]:
    for stretch in stretches:
        is_last = stretch is stretches[-1]
        thinned = _thinned(stretch)
        for name, label, role in _SERIES:
            if name == "log_no_worse" and not any(cost.costs.margin for _, cost in thinned):
                continue
            points = tuple(
                Point(look.found.mature, getattr(cost, name))
                for look, cost in thinned
                if getattr(cost, name) is not None
            )
            if points:
                yield PlotLine(label if is_last else "", points, role if is_last else "former")


def _thinned(stretch: list[tuple[Look, CostFigures]]) -> list[tuple[Look, CostFigures]]:
    step = -(-len(stretch) // _MOST_POINTS)
    return stretch[::-1][::step][::-1]  # the last one is always there


def _events(found: Found) -> str:
    shed = f", {found.shed:,} shed while the shadow lagged" if found.shed else ""
    return f"{found.events:,} that both have answered{shed}"


def _mature(found: Found) -> str:
    until = "" if found.watermark is None else f" by event time {utc(found.watermark, 's')}"
    return (
        f"{found.mature:,}{until}; {found.unlabelled:,} of these without a label, "
        f"{found.corrected:,} corrected later; {found.waiting:,} wait"
    )


def _costs(cost: CostFigures) -> Block:
    said = cost.costs
    return facts(
        (
            "costs",
            f"a missed fraud its {said.amount}, {said.cap:,.10g} at most; a declined legitimate "
            f"event {said.friction:,.10g}; a review {said.review:,.10g}",
        ),
        ("margin", f"{said.margin:,.10g} per event"),
        ("saved per event", f"{figure(cost.mean, signed=True)} ({interval(cost.interval)})"),
        ("other decisions", f"{cost.discordant:,} of {cost.events:,} events"),
        *_hidden(cost),
        ("without an amount", f"{cost.without_amount:,}" if cost.without_amount else ""),
        ("labels still needed", _needed(cost.labels_needed)),
    )


def _hidden(cost: CostFigures) -> list[tuple[str, str]]:
    told = cost.censored
    if told is None:
        return []
    events = f"{told.events:,}, of which {told.let_through:,} were let through"
    return [
        ("declined alone", f"{events}; of {told.only_bounded:,} nobody knows the truth"),
        ("saved, whatever these were", interval(told.bounds)),
    ]


def _needed(needed: Needed) -> str:
    if needed.labels is None:
        return "not in sight"
    if needed.low is None or needed.high is None:
        return f"about {needed.labels:,}"
    return f"about {needed.labels:,} ({needed.low:,} to {needed.high:,})"


def _evidence(cost: CostFigures) -> Block:
    rows = []
    for name, label, _ in _SERIES:
        value = getattr(cost, name)
        if name == "log_no_worse" and not cost.costs.margin:
            continue
        enough = value is not None and value >= cost.bound
        tone: Tone = ("bad" if name == "log_worse" else "good") if enough else ""
        rows.append(row(label, Cell(figure(value, 2), tone), figure(cost.bound, 2)))
    heads = ("evidence that the candidate", "ln e", "enough from")
    return Table(heads, tuple(rows), (0.6, 0.2, 0.2), frozenset({1, 2}))


def _figures(found: Found) -> Block:
    rows = [_right("recall: frauds not approved", found.recall)]
    rows.append(_right("friction: legitimate approved", found.friction))
    for label, curve in (("average precision", found.average_precision), ("AUC", found.auc)):
        if curve is not None:
            pair = (figure(curve.champion), figure(curve.candidate))
            rows.append(row(label, *pair, interval(curve.interval)))
    rows.append(row("rank correlation of scores", "", figure(found.spearman), ""))
    heads = ("figure", "champion", "candidate", "difference, at all looks")
    return Table(heads, tuple(rows), (0.36, 0.14, 0.14, 0.36), frozenset({1, 2, 3}))


def _right(label: str, found: Right) -> tuple[Cell, ...]:
    alone = f"{found.only_champion_right:,} : {found.only_candidate_right:,} right alone"
    pair = (figure(found.champion), figure(found.candidate))
    return row(f"{label} ({found.events:,})", *pair, alone)


def _decisions(found: Found) -> Block:
    rows = []
    for first in DECISIONS:
        events, amounts = found.decisions.get(first, {}), found.amounts.get(first, {})
        cells = (f"{count(events.get(each))} ({count(amounts.get(each))})" for each in DECISIONS)
        rows.append(row(first, *cells))
    heads = ("events (amounts): champion \\ candidate", *DECISIONS)
    return Table(heads, tuple(rows), (0.34, 0.22, 0.22, 0.22), frozenset({1, 2, 3}))


def _flips(found: Found) -> Block:
    rows = tuple(
        row(
            share(each.champion_rate),
            share(each.candidate_rate),
            count(each.champion_only),
            count(each.candidate_only),
        )
        for each in found.flips_at_rate[:_MOST_RATES]
    )
    heads = ("at matched alert rates: champion's", "candidate's", "champion only", "candidate only")
    return Table(heads, rows, (0.34, 0.22, 0.22, 0.22), frozenset({1, 2, 3}))
