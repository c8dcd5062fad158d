"""The canary's timeline: steps, what was done and why, and what its guardrails saw."""

from collections.abc import Sequence
from itertools import groupby

from streams.base.clock import utc
from weir.dossier.blocks import Block, Cell, Line, Section, Table, Tone, count, figure, row
from weir.dossier.history import Phase

_GUARDRAILS = ("failures", "latency", "alerts_more", "alerts_fewer", "split")
_MOST = 100
"""Phases on a page."""
_TONES: dict[str, Tone] = {
    "roll back": "bad",
    "void": "bad",
    "ask": "unsure",
    "done": "good",
    "step": "good",
}


def canary_section(phases: Sequence[Phase], version: int) -> Section:
    """All that its keepers have written."""
    title = "As a canary"
    if not phases:
        text = (
            "It was no canary, or what was found then is kept no more. "
            f"`weir canary start {version}` makes it one, and `weir canary run` keeps it."
        )
        return Section(title, (Line(text),))
    chosen = list(enumerate(phases, 1))[-_MOST:]
    blocks: list[Block] = []
    for (experiment, champion), each in groupby(chosen, key=_experiment):
        group = list(each)
        name = Line(f"{experiment}, beside {champion[:12]}", small=True)
        blocks += [name, _timeline(group), _evidence(group)]
    if len(phases) > len(chosen):
        left = f"{len(phases) - len(chosen):,} earlier phases are left out; --json has them."
        blocks.append(Line(left, small=True))
    return Section(title, tuple(blocks), f"last looked {utc(phases[-1].record.at, 's')}")


def _experiment(numbered: tuple[int, Phase]) -> tuple[str, str]:
    record = numbered[1].record
    return record.experiment, record.champion


def _timeline(phases: Sequence[tuple[int, Phase]]) -> Block:
    rows = []
    for number, phase in phases:
        record, figures = phase.record, phase.figures
        rows.append(
            row(
                f"{number}",
                utc(phase.first_at, "s").removesuffix(" UTC"),
                f"{record.arms[0].share * 100:.4g}%",
                count(figures.answered[1]),
                Cell(record.deed, _TONES.get(record.deed, "")),
                record.why,
            )
        )
    heads = ("", "from, UTC", "share", "events", "deed", "why")
    return Table(heads, tuple(rows), (0.04, 0.23, 0.08, 0.1, 0.12, 0.43), frozenset({2, 3}))


def _evidence(phases: Sequence[tuple[int, Phase]]) -> Block:
    rows = []
    for number, phase in phases:
        cells = []
        for name in _GUARDRAILS:
            found = phase.figures.guardrails.get(name)
            if found is None:
                cells.append(Cell(""))
                continue
            text = f"{figure(found.log_evidence, 1)} / {figure(found.alarm_from, 1)}"
            cells.append(Cell(text, "bad" if found.alarm else ""))
        rows.append(row(f"{number}", *cells))
    names = (name.replace("_", " ") for name in _GUARDRAILS)
    heads = ("guardrails: ln e / alarm", *names)
    return Table(heads, tuple(rows), (0.2,) + (0.16,) * 5, frozenset(range(1, 6)))
