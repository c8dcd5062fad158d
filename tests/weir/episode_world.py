"""An episode of drift, as the monitor writes one."""

from typing import Any

from msgspec.structs import replace

from monitoring.counting.cell_counts import EpisodeAct
from monitoring.episodes.episode import Episode, MovedFeature
from monitoring.episodes.moved_histogram import MovedHistogram

MINUTE = 60_000
T0 = 1_795_000_000_000 // MINUTE * MINUTE
HISTOGRAM = MovedHistogram([0.0, 10.0, 2500.0], [0, 40, 900, 60, 0], [0.0, 0.6, 0.4, 0.0, 0.0])


def moved(name: str = "amount", **changes: Any) -> MovedFeature:
    feature = MovedFeature(
        name=name,
        since=T0,
        evidence=23.4,
        psi=1.75,
        events=1_000,
        before=7.5,
        now=750.0,
        words=f"{name} is about 100 times as large since then",
        kind="unit_change",
        producer="app-version 4.2.0",
        histogram=HISTOGRAM,
    )
    return replace(feature, **changes)


def episode(**changes: Any) -> Episode:
    found = Episode(
        id="3f2a9c0d1e4b",
        model="c6faeac493c8",
        kind="data_breakage",
        severity="page",
        state="open",
        began=T0,
        found=T0 + 4 * MINUTE,
        features=[moved(), moved("answer:probability", kind="covariate_shift", producer=None)],
    )
    return replace(found, **changes)


def looked_after() -> Episode:
    """One that was acknowledged, and is over."""
    act = EpisodeAct(
        episode().id, "acknowledge", "ada", "asked the gateway's team", T0 + 6 * MINUTE
    )
    back = [replace(each, back=T0 + 30 * MINUTE) for each in episode().features]
    return episode(
        state="closed", ended=T0 + 30 * MINUTE, features=back, acts=[act], acknowledged_by="ada"
    )
