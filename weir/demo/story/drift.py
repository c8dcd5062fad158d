"""The story of drift: a producer sends cents for euros, and mends it; then fraud has a new pattern.

History is scored first: while the windows fill up, features are not what they are in training. From
there on the stream is quiet for some days, and nothing must be said. Then a producer sends a
hundred times each amount: that must be found, by name. Then it sends euros again, and the episode
must end by itself. At last thieves buy gift cards, which nobody has done before: that must be
called a shift of the world, and no fault of the data.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from weir.demo.stage import Stage

_LATE_S = 3 * 3_600
"""Before the end of a span each partition has had an event."""


@dataclass(frozen=True)
class DriftPlot:
    """What the story is about.

    Attributes:
        learned, stream: files of events: what the model learns from, and what is streamed.
        learn: options of `weir train` that say from which time it learns.
        begin, cents, euros, pattern, end: times: up to where history goes, when amounts become
            cents, when they are euros again, when the new pattern comes, where the story ends.
    """

    learned: Path
    stream: Path
    learn: tuple[str, ...]
    begin: str
    cents: str
    euros: str
    pattern: str
    end: str


def tell(stage: Stage, plot: DriftPlot, told: Callable[[str], None]) -> bool:
    """Tell it; whether all came as it has to.

    Raises:
        DemoError: a command or a process failed, or something did not come.
        KeyboardInterrupt: the story is to end.
    """
    stage.weir("train", *plot.learn, "--data", str(plot.learned))
    told("version 1 is champion, and knows what its features are like in each hour of the week")
    stage.weir("topics")
    for name in ("score", "monitor"):
        stage.start(name)
    sent = _play(stage, plot, 0, "--to", plot.begin)
    history = _episodes(stage)
    told(
        f"{sent:,} events up to {plot.begin}: the windows fill up, and {len(history)} episodes "
        "say so"
    )
    known = {each["id"] for each in history}
    spans = (
        ("quiet", plot.begin, plot.cents),
        ("a producer sends cents for euros", plot.cents, plot.euros),
        ("euros again", plot.euros, plot.pattern),
        ("thieves buy gift cards", plot.pattern, plot.end),
    )
    found: dict[str, list[dict[str, Any]]] = {}
    for what, first, last in spans:
        before, sent = sent, _play(stage, plot, sent, "--from", first, "--to", last)
        listed = _episodes(stage)
        episodes = [each for each in listed if each["id"] not in known]
        told(f"{what}: {sent - before:,} events from {first} to {last}; {_words(episodes)}")
        found[what] = episodes
        known |= {each["id"] for each in episodes if each["state"] == "closed"}
    quiet, wrong, right, shifted = (found[what] for what, _, _ in spans)
    return (
        not quiet
        and [(each["kind"], each["state"]) for each in wrong] == [("data_breakage", "open")]
        and [each["state"] for each in right] == ["closed"]
        and [each["kind"] for each in shifted] == ["covariate_shift"]
        and all(_names_the_amount(each) for each in (*wrong, *shifted))
    )


def _names_the_amount(episode: dict[str, Any]) -> bool:
    return any("amount" in feature["name"] for feature in episode["features"])


def _play(stage: Stage, plot: DriftPlot, before: int, *span: str) -> int:
    """Send a span of the stream; how many events were sent by then, all of them looked at."""
    sent = before + int(stage.weir("replay", str(plot.stream), *span)["events"])
    stage.until("the scores", lambda: stage.metric("score", "weir_events_total") >= sent)
    looked_at = datetime.fromisoformat(span[-1]).replace(tzinfo=UTC).timestamp() - _LATE_S
    watermark = "weir_monitor_watermark_seconds"
    stage.until("the monitor", lambda: stage.metric("monitor", watermark) >= looked_at)
    stage.until("the monitor", lambda: not stage.metric("monitor", "weir_lag_records"))
    return sent


def _episodes(stage: Stage) -> list[dict[str, Any]]:
    """What has moved so far; how well the model does is another story."""
    listed = stage.weir("drift", "status", "--all")["episodes"]
    return [each for each in listed if each["kind"] != "performance_loss"]


def _words(episodes: list[dict[str, Any]]) -> str:
    if not episodes:
        return "nothing has moved"
    said = []
    for each in episodes:
        first, *rest = each["features"]
        others = f", and {len(rest)} others" if rest else ""
        said.append(f"{each['kind'].replace('_', ' ')} ({each['state']}): {first['words']}{others}")
    return "; ".join(said)
