"""An episode as one page, plain enough to put into a ticket."""

from collections import defaultdict
from importlib.metadata import version

from monitoring.counting.model_bins import ANSWER
from monitoring.episodes.episode import Episode, MovedFeature, WorseFigure
from monitoring.episodes.moved_histogram import MovedHistogram, bin_name
from streams.base.clock import now_ms, utc
from weir.dossier.blocks import (
    Block,
    Cell,
    Line,
    Page,
    Pair,
    Pairs,
    Section,
    Table,
    Tone,
    count,
    facts,
    row,
    share,
)
from weir.dossier.html import html_of
from weir.episodes.words import meaning_of, state_of, together_of

_MOST = 30
"""Features with a section of their own, and acts: a page ends somewhere."""
_SEEN = 0.0005
"""A bin with a smaller share, before and now, is left out of the picture."""
_SEVERITIES = {"page": "page: somebody is called", "warning": "warning: nobody is called"}
_DEEDS = {
    "acknowledge": "acknowledged by",
    "snooze": "snoozed until {until} by",
    "close": "closed by",
}


def episode_html(episode: Episode) -> bytes:
    """One HTML file: no scripts, and nothing is loaded from elsewhere."""
    return html_of(page_of(episode, now_ms())).encode()


def page_of(episode: Episode, made: int) -> Page:
    """All that the topic says of an episode.

    Args:
        made: now, UTC ms.
    """
    kind = episode.kind.replace("_", " ")
    shown = episode.features[:_MOST]
    left = len(episode.features) - len(shown)
    why = f"{left} more features: `weir drift show {episode.id} --json` has them."
    more = [Section("Left out", (Line(why, small=True),))] if left else []
    return Page(
        title=f"Episode {episode.id}: {kind}, model {episode.model}",
        under=f"Made {utc(made, 's')} with Weir {version('weir')}, of what the monitor had said by "
        "then. Times are event times; those of people's acts are by the clock.",
        status=Cell(state_of(episode), _tone(episode)),
        sections=(
            _what_happened(episode),
            _what_to_do(episode),
            _timeline(episode),
            *_together(episode),
            *_segments(episode),
            *map(_figure, episode.figures),
            *map(_feature, shown),
            *more,
        ),
    )


def _tone(episode: Episode) -> Tone:
    if episode.state == "closed":
        return "good"
    return "bad" if state_of(episode) == "open" else "unsure"


def _what_happened(episode: Episode) -> Section:
    blocks: list[Block] = [Line(meaning_of(episode).said)]
    blocks += [Line(f"• {each.words}") for each in episode.moved[:3]]
    if len(episode.moved) > 3:
        blocks.append(Line(f"And {len(episode.moved) - 3} more, below."))
    snoozed = "" if episode.snoozed_until is None else utc(episode.snoozed_until, "s")
    blocks.append(
        facts(
            ("kind", episode.kind.replace("_", " ")),
            ("severity", _SEVERITIES[episode.severity]),
            ("model", episode.model),
            ("began", utc(episode.began, "s")),
            ("found", utc(episode.found, "s")),
            ("ended", "it goes on" if episode.ended is None else utc(episode.ended, "s")),
            ("acknowledged by", episode.acknowledged_by or "nobody"),
            ("snoozed until", snoozed),
            ("what moved", f"{len(episode.moved)}, {len(episode.away)} still away"),
            ("retraining", episode.retraining or ""),
        )
    )
    return Section("What happened", tuple(blocks))


def _what_to_do(episode: Episode) -> Section:
    meaning = meaning_of(episode)
    steps = [Line(f"{place}. {step}") for place, step in enumerate(meaning.steps, 1)]
    return Section("What to do", (*steps, Line(f"Runbook: {meaning.runbook}", small=True)))


def _timeline(episode: Episode) -> Section:
    """When each feature moved and came back, when that was found, and what people did."""
    moved, back = defaultdict(list), defaultdict(list)
    for each in episode.moved:
        moved[each.since].append(each.name)
        if each.back is not None:
            back[each.back].append(each.name)
    entries = [(time, f"{_named(names)} began to move") for time, names in moved.items()]
    entries.append((episode.found, "the monitor found it"))
    entries += [(time, f"{_named(names)} came back") for time, names in back.items()]
    for act in episode.acts[-_MOST:]:
        until = "" if act.until is None else utc(act.until, "s")
        note = f": {act.note}" if act.note else ""
        entries.append((act.at, f"{_DEEDS[act.deed].format(until=until)} {act.by}{note}"))
    if episode.ended is not None:
        entries.append((episode.ended, "over"))
    # The sort is stable: what was said first of one moment stays first.
    rows = tuple(row(utc(time, "s"), said) for time, said in sorted(entries, key=lambda e: e[0]))
    return Section("Timeline", (Table(("when", "what"), rows, (0.28, 0.72)),))


def _named(names: list[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more


def _together(episode: Episode) -> list[Section]:
    """What a classifier of all features at once says."""
    found = episode.together
    if found is None:
        return []
    said = together_of(episode)
    blocks: list[Block] = [Line(f"{said[0].upper()}{said[1:]}.")]
    if found.features:
        rows = tuple(row(name, share(part, 0)) for name, part in found.features[:_MOST])
        columns = ("feature", "its part in telling them apart")
        blocks.append(Table(columns, rows, (0.6, 0.4)))
    return [Section("What moved together", tuple(blocks))]


def _segments(episode: Episode) -> list[Section]:
    """Of what moved in parts of the stream, which part it was, and what."""
    found = defaultdict(list)
    for each in episode.features:
        if each.segment is not None:
            found[each.segment].append(each.name.removesuffix(f" in {each.segment}"))
    if not found:
        return []
    rows = tuple(row(segment, _named(names)) for segment, names in found.items())
    return [Section("Segments", (Table(("part of the stream", "what moved"), rows, (0.4, 0.6)),))]


def _figure(figure: WorseFigure) -> Section:
    back = "still worse" if figure.back is None else utc(figure.back, "s")
    told = facts(
        ("worse since", utc(figure.since, "s")),
        ("back since", back),
        ("found", f"{_number(figure.found)}; {_number(figure.limit)} would be no loss"),
        ("evidence", f"{figure.evidence:.1f} (ln)"),
    )
    name = figure.name.replace("_", " ").capitalize()
    return Section(name, (Line(figure.words), told))


def _feature(feature: MovedFeature) -> Section:
    """A feature, beside its reference; of another thing that happened, what is known of it."""
    name = feature.name
    # Whatever has moved has a PSI; silence, dead letters and hints of adversaries have none.
    measured = feature.psi > 0
    chance = "; chance alone gets there once in monitor.arl" if measured else ""
    psi = f"{feature.psi:.3g}, over {count(feature.events)} events; 0 is no change"
    since_promotion = feature.references != ("training",)
    blocks: list[Block] = [
        Line(feature.words),
        facts(
            ("kind of change", feature.kind.replace("_", " ")),
            ("segment", feature.segment or ""),
            ("reference", " and ".join(feature.references) if since_promotion else ""),
            ("producer", feature.producer or "not one's alone, or not known"),
            ("moved since", utc(feature.since, "s")),
            ("back since", "still away" if feature.back is None else utc(feature.back, "s")),
            ("field whole since", "" if feature.remembers is None else utc(feature.remembers, "s")),
            (
                "median" if measured else "found",
                f"{_number(feature.before)} before, {_number(feature.now)} now",
            ),
            ("evidence", f"{feature.evidence:.1f} (ln){chance}"),
            ("PSI", psi if measured else ""),
        ),
    ]
    if measured:
        blocks.append(_histogram(feature))
    title = f"Feature {name}" if measured else name
    if name.startswith(ANSWER):
        title = f"The model's {name.removeprefix(ANSWER)}"
    return Section(title, tuple(blocks))


def _histogram(feature: MovedFeature) -> Block:
    found = feature.histogram
    if found is None:
        return Line("No histogram: an earlier version of the monitor wrote this.", small=True)
    return Pairs(
        about=f"Histogram of {feature.name} now and before",
        y_name=f"Share of the events in each bin; a bin ends before its upper edge. Now: the "
        f"{count(sum(found.now))} events by which it was found.",
        names=("reference", "now"),
        pairs=tuple(_pairs(found)),
    )


def _pairs(found: MovedHistogram) -> list[Pair]:
    events = sum(found.now) or 1
    pairs = []
    for place, (events_in, before) in enumerate(zip(found.now, found.before, strict=True)):
        now = events_in / events
        if max(now, before) >= _SEEN:
            note = f"{share(before, 1)} before, {share(now, 1)} now"
            pairs.append(Pair(bin_name(place, found.edges), before, now, note))
    return pairs


def _number(value: float | None) -> str:
    return "missing" if value is None else f"{value:g}"
