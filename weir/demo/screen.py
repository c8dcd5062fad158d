"""What the demo shows while it runs, and at its end."""

from datetime import UTC, datetime
from time import monotonic
from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from weir.cli.console import stderr
from weir.demo.trial import Tried
from weir.demo.watcher import Seen

_INSIDE = 74
"""Columns inside the frame, so that it fits a terminal of 80."""

_COLOURS = {"approve": "green", "review": "yellow", "decline": "red"}


class Screen:
    """A live view of the stream; draws itself whenever rich asks."""

    def __init__(self, seen: Seen, model: str, tried: Tried | None = None) -> None:
        self._seen = seen
        self._tried = tried
        self._model = model
        self._phase = ""
        self._total = 0
        self._sent = 0
        self._rate = 0.0
        self._before = (monotonic(), 0)

    def phase(self, title: str, total: int) -> None:
        """A new phase begins; `total` records are to be answered at its end."""
        self._phase, self._total = title, total

    def sent(self, count: int) -> None:
        """So many events have been sent so far."""
        self._sent = count

    def __rich__(self) -> Panel:
        seen = self._seen
        title = self._phase
        if self._sent and not seen.total:
            title += ": the scorer is starting"
        bar = Table.grid()
        bar.add_row(ProgressBar(total=max(1, self._total), completed=seen.total, width=_INSIDE))
        lines: list[RenderableType] = [
            Text(title, "bold"),
            bar,
            self._facts(),
            self._decisions(),
            *_of_the_trial(self._tried),
            _flagged(seen),
        ]
        # One line each, however narrow the terminal is: the panel must not jump.
        for line in lines:
            if isinstance(line, Text):
                line.no_wrap, line.overflow = True, "ellipsis"
        height = 11 if self._tried is None else 13
        return Panel(
            Group(*lines),
            title=Text(f"weir · model {self._model}"),
            width=_INSIDE + 4,
            height=height,
        )

    def _facts(self) -> Text:
        seen, now = self._seen, monotonic()
        since, count = self._before
        if now - since > 0.5:
            self._rate = (seen.total - count) / (now - since)
            self._before = (now, seen.total)
        latency = seen.latency_percentiles((50, 99))
        return Text.from_markup(
            f"sent [b]{self._sent:,}[/b]   answered [b]{seen.total:,}[/b]   "
            f"[b]{self._rate:,.0f}[/b]/s   "
            f"p50 [b]{_ms(latency['p50'])}[/b]   p99 [b]{_ms(latency['p99'])}[/b]"
        )

    def _decisions(self) -> Text:
        text = Text()
        for name, colour in _COLOURS.items():
            text.append(f"{name} {self._seen.decisions[name]:,}   ", colour)
        return text.append(f"dead letters {self._seen.dead_letters.total():,}")


class Lines:
    """What is shown where no live view can be: a line for each phase."""

    def phase(self, title: str, total: int) -> None:
        """A new phase begins; `total` records are to be answered at its end."""
        stderr.print(f"{title}: up to event {total:,}")

    def sent(self, count: int) -> None:
        """Say nothing."""


def _of_the_trial(tried: Tried | None) -> list[Text]:
    """Two lines on the candidate and on drift; none where nothing is tried."""
    if tried is None:
        return []
    drift = f"{tried.episodes} episodes of drift" if tried.episodes else "nothing drifts"
    return [
        Text(tried.stage, "cyan"),
        Text(
            f"asked about {tried.scored:,}   mature {tried.mature:,}   as canary "
            f"{tried.canary:,}   {drift}"
        ),
    ]


def _flagged(seen: Seen) -> Table:
    """The latest events that were not approved."""
    table = Table.grid(padding=(0, 2))
    for _ in range(4):
        table.add_column(no_wrap=True, overflow="ellipsis")
    for score in seen.flagged:
        when = datetime.fromtimestamp(score.event_time / 1_000, UTC)
        table.add_row(
            Text(f"{score.decision:<7}", _COLOURS[score.decision]),
            Text(f"event {score.event_id}"),
            f"{when:%Y-%m-%d %H:%M:%S}",
            f"probability {score.probability:.3f}",
        )
    return table


def summary_table(summary: dict[str, Any]) -> Table:
    """The end of the demo for people."""
    table = Table(title="What happened", title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    latency, quality = summary["latency_ms"], summary["quality"]
    rows = [
        ("events sent", f"{summary['events']:,}"),
        ("scored", f"{summary['scored']:,}"),
        ("lost", f"{summary['lost']:,}"),
        ("duplicated", f"{summary['duplicated']:,}"),
        ("dead letters", f"{summary['dead_letters']:,}"),
        ("history caught up at", f"{summary['history_events_per_second']:,.0f} events/s"),
        ("then live at", f"{summary['events_per_second']:,.0f} events/s"),
        ("latency p50 / p99", f"{_ms(latency['p50'])} / {_ms(latency['p99'])}"),
        *((f"decided: {name}", f"{count:,}") for name, count in summary["decisions"].items()),
        ("AUC", _figure(quality["auc"])),
        ("average precision", _figure(quality["average_precision"])),
        (f"card precision@{quality['k']}", _figure(quality["card_precision"])),
        ("recall at capacity", _figure(quality["recall_at_capacity"])),
    ]
    rows += _rows_of_the_trial(summary.get("trial"))
    for name, value in rows:
        style = "red" if name in ("lost", "duplicated") and value != "0" else ""
        table.add_row(name, Text(value, style))
    return table


def _rows_of_the_trial(trial: dict[str, Any] | None) -> list[tuple[str, str]]:
    if trial is None:
        return []
    flips = sum(sum(each.values()) for each in trial["flips"].values())
    episodes = trial["drift"]
    return [
        (f"version {trial['candidate']} in the shadow", f"{trial['compared']:,} events"),
        ("flips / verdict", f"{flips:,} / {trial['verdict'].replace('_', ' ')}"),
        ("then as canary", f"{trial['canary']:,} events"),
        ("episodes of drift", f"{len(episodes)}"),
    ]


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:,.1f} ms"


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
