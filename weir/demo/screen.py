"""What the demo shows while it runs, and at its end."""

from datetime import UTC, datetime
from time import monotonic
from typing import Any

from rich.console import Group
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from weir.demo.watcher import Seen

_COLOURS = {"approve": "green", "review": "yellow", "decline": "red"}


class Screen:
    """A live view of the stream; draws itself whenever rich asks."""

    def __init__(self, seen: Seen, model: str) -> None:
        self._seen = seen
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
        seen, now = self._seen, monotonic()
        answered = seen.total
        since, count = self._before
        if now - since > 0.5:
            self._rate = (answered - count) / (now - since)
            self._before = (now, answered)
        latency = seen.latency_percentiles((50, 99))
        facts = Table.grid(padding=(0, 3))
        facts.add_row(
            f"sent [b]{self._sent:,}[/b]",
            f"answered [b]{answered:,}[/b]",
            f"[b]{self._rate:,.0f}[/b]/s",
            f"p50 [b]{_ms(latency['p50'])}[/b]  p99 [b]{_ms(latency['p99'])}[/b]",
        )
        decisions = Text("   ").join(
            Text(f"{name} {seen.decisions[name]:,}", colour) for name, colour in _COLOURS.items()
        )
        decisions.append(f"   dead letters {seen.dead_letters.total():,}")
        bar = ProgressBar(total=max(1, self._total), completed=answered, width=60)
        return Panel(
            Group(Text(self._phase, "bold"), bar, facts, decisions, _flagged(seen)),
            title=f"weir · model {self._model}",
            width=84,
        )


def _flagged(seen: Seen) -> Table:
    table = Table.grid(padding=(0, 2))
    rows: list[Any] = list(seen.flagged)
    for score in rows + [None] * (5 - len(rows)):
        if score is None:
            table.add_row("")
            continue
        when = datetime.fromtimestamp(score.event_time / 1_000, UTC)
        table.add_row(
            Text(f"{score.decision:<8}", _COLOURS[score.decision]),
            f"event {score.event_id}",
            f"key {score.key}",
            f"{when:%Y-%m-%d %H:%M:%S}",
            f"probability {score.probability:.3f}",
            f"anomaly {score.anomaly:.2f}",
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
    for name, value in rows:
        style = "red" if name in ("lost", "duplicated") and value != "0" else ""
        table.add_row(name, Text(value, style))
    return table


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:,.1f} ms"


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
