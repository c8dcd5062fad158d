"""Drift: faults that are provoked in streams, and whether the monitor names them.

Ten kinds of faults in each of four streams: the Fraud Detection Handbook's features, the
simulator's transactions, kdd99_http, and one of its own with missing values and categories. The
first half of a stream is what the model was trained on, the rest is live; a fault befalls one
feature from some moment on. It is named if there is one episode, which names the feature, the kind
of fault, its producer where it is one's, and a time no further from the true one than so many
events. A quiet twin is the same without the fault: nothing may be said of it.
"""

import sys
from pathlib import Path

import numpy as np

sys.path.pop(0)  # this folder, whose lime.py would hide the package
sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.drift_worlds.campaign_streams import CampaignStream, streams
from benchmarks.drift_worlds.faults import CULPRIT, FAULTS, Fault
from benchmarks.harness import DATA, arguments, report
from inference.packages.drift_reference import DriftReference, fit_histogram
from inference.packages.hours import in_time
from monitoring.counting.details import details_of
from monitoring.counting.model_bins import ModelBins
from monitoring.drift.model_watch import ModelWatch
from monitoring.drift.reference import yardstick_of
from monitoring.episodes.episode import Episode
from monitoring.settings import MonitorSettings
from streams.loop.stateless.keyed_state import PartitionState

TARGET = 0.95
_LIVE = 24_000
_BEFORE = 5_000
_NEAR = 500
"""Events by which a fault's time may be off."""
_MINUTE = 60_000


def main() -> None:
    """Provoke, and report."""
    extra = {"seed": {"type": int, "default": 15}, "data": {"type": Path, "default": DATA}}
    args = arguments(__doc__ or "", **extra)
    rng, skipped = np.random.default_rng(args.seed), list[str]()
    outcomes: dict[str, dict[str, str]] = {}
    quiet: dict[str, int] = {}
    for stream in streams(args.data, rng, skipped):
        bins = _reference(stream)
        outcomes[stream.name], quiet[stream.name] = {}, 0
        for fault in FAULTS[::3] if args.quick else FAULTS:
            first = int(rng.integers(len(stream.rows) // 2, len(stream.rows) - _LIVE))
            feature = str(rng.choice(stream.faulty))
            seed = int(rng.integers(2**31))
            twin = _watched(stream, bins, first, None, feature, seed)
            quiet[stream.name] += bool(twin)
            found = _watched(stream, bins, first, fault, feature, seed)
            began = int(stream.times[first + _BEFORE])
            outcomes[stream.name][fault.name] = _judged(stream, found, fault, feature, began)
    said = [each for of in outcomes.values() for each in of.values()]
    figure = sum(each == "named" for each in said) / len(said)
    report(
        args,
        name="drift-campaign",
        figure=figure,
        unit="share of faults that were named",
        target=TARGET,
        met=figure >= TARGET and not sum(quiet.values()),
        details={"outcomes": outcomes, "twins_with_alarms": quiet, "skipped": skipped},
        text=_text(outcomes, quiet, skipped),
    )


def _reference(stream: CampaignStream) -> ModelBins:
    half = len(stream.rows) // 2
    times = stream.times[:half]
    features = {
        name: in_time(fit_histogram(column, 20), column, times, "UTC")
        for name, column in zip(stream.names, stream.rows[:half].T, strict=True)
    }
    return ModelBins(stream.names, DriftReference(features=features, outputs={}))


def _watched(
    stream: CampaignStream,
    bins: ModelBins,
    first: int,
    fault: Fault | None,
    feature: str,
    seed: int,
) -> list[Episode]:
    """What is said of a span of the stream: each episode as it was said last."""
    rng = np.random.default_rng(seed)
    part = slice(first, first + _LIVE)
    rows, times = stream.rows[part].copy(), stream.times[part]
    producers = stream.producers(rng)[part]
    if fault is not None:
        place = stream.names.index(feature)
        own = producers[_BEFORE:] == CULPRIT
        rows[_BEFORE:, place] = fault.change(rows[_BEFORE:, place], own, rng)
    settings = MonitorSettings()
    yardstick = yardstick_of(bins.histograms, settings.delta)
    watch = ModelWatch(PartitionState({}), "model", bins, settings, yardstick)
    starts, cells = np.unique(times // _MINUTE * _MINUTE, return_inverse=True)
    counts = bins.count(rows, cells, len(starts))
    said: dict[str, Episode] = {}
    for place, start in enumerate(starts.tolist()):
        own_rows = cells == place
        details = details_of(rows[own_rows], producers[own_rows].tolist())
        watch.add(start, counts[place], [details])
        said |= {each.id: each for each in watch.close(start + _MINUTE)}
    return list(said.values())


def _judged(
    stream: CampaignStream, found: list[Episode], fault: Fault, feature: str, began: int
) -> str:
    if not found:
        return "not found"
    if len(found) > 1:
        return f"{len(found)} episodes"
    moved = {each.name: each for each in found[0].features}
    if feature not in moved:
        return f"named {', '.join(moved)} instead of {feature}"
    own = moved[feature]
    if own.kind != fault.kind:
        return f"called {own.kind}: {own.words}"
    if fault.producer is not None and own.producer != fault.producer:
        return f"of {own.producer}: {own.words}"
    between = np.searchsorted(stream.times, [min(own.since, began), max(own.since, began)])
    apart = int(between[1] - between[0])
    return "named" if apart <= _NEAR else f"{apart} events off"


def _text(outcomes: dict[str, dict[str, str]], quiet: dict[str, int], skipped: list[str]) -> str:
    lines = [f"skipped {each}" for each in skipped]
    for stream, of in outcomes.items():
        lines.append(f"{stream}: {quiet[stream]} of {len(of)} quiet twins have alarms")
        lines += [f"  {fault}: {outcome}" for fault, outcome in of.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
