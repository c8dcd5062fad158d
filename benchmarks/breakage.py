"""Broken data and a changed world: how often the right kind is named, and how often a wrong one.

Of each stream a reference is frozen, and windows come later: quiet ones, which nothing is to be
said about, and ones with a fault. Faults hit all events, or those of one app version:

  nulls           all, or a fifth of the values are missing
  unit_change     values are 100, 1/100, 60 or 1,000 times what they were
  stuck           one value for all, or -1 or 999 for two fifths of the events (not of categories)
  new_range       of other size for a tenth, and negative (not of categories)
  new_category    of categories only: a tenth is one that never was
  covariate_shift the mean moves by half or one standard deviation, or the spread by a half; of
                  logarithms where nothing is negative (not of categories)

The figure is the share of right kinds, over kinds and streams alike; beside it stands the share of
quiet windows that were called broken, and how often the app version was named where there is one.
Silence is simulated by minutes: bursts, nights and three weeks of the past; dead letters by spans,
half of one version's records.

Real streams are read from --data, each named with a reason where it is not there.
"""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.drift_worlds.feature_streams import Stream, Values, most_common, real, simulated
from benchmarks.harness import DATA, arguments, report
from monitoring.breakage.adversaries import Variations
from monitoring.breakage.kind import Kind
from monitoring.breakage.kinds import Diagnosis, FeatureCounts, diagnose
from monitoring.breakage.magnitudes import BUCKETS, count_magnitudes, magnitudes
from monitoring.breakage.outages import dead_letters_found
from monitoring.breakage.silence import silent, usual
from monitoring.breakage.stuck import Repeats
from streams.events.rejection import Reason

TARGET, QUIET = 0.95, 0.005
RUNS = 40
WINDOWS = (300, 1_000, 4_000)
VERSIONS = ("app-version 4.1.0", "app-version 4.2.0", "app-version 4.2.1")
PARTS = (0.5, 0.35, 0.15)
BROKEN = VERSIONS[1]
SINCE = 1_534_241_100_000


def main() -> None:
    """Simulate, and report."""
    args = arguments(__doc__ or "", data={"type": Path, "default": DATA})
    runs = 6 if args.quick else RUNS
    skipped: list[str] = []
    streams = [*simulated(), *real(args.data, skipped)]
    rows = {stream.name: judged(stream, runs, seed) for seed, stream in enumerate(streams)}
    silence = silences(8 if args.quick else 100)
    letters = dead_letters(10 * runs)
    speed = speeds(20_000 if args.quick else 200_000)
    right = [share for row in rows.values() for share in row["right"].values()]
    figure = float(np.mean([*right, silence["found"], letters["found"]]))
    quiet = sum(row["quiet_wrong"] for row in rows.values())
    windows = sum(row["quiet"] for row in rows.values())
    report(
        args,
        name="breakage",
        figure=figure,
        unit="share of right kinds, over kinds and streams",
        target=TARGET,
        met=figure >= TARGET
        and quiet <= QUIET * windows
        and silence["false"] == 0
        and letters["false"] <= QUIET * letters["runs"],
        details={
            "runs": runs,
            "streams": rows,
            "quiet_windows_called_broken": quiet / windows,
            "silence": silence,
            "dead_letters": letters,
            "millions_of_values_a_second_and_core": speed,
            "skipped": skipped,
        },
        text=table(rows, quiet, windows)
        + f"\nsilence: {silence}\ndead letters: {letters}\nmillions of values/s: {speed}\n"
        + "\n".join(f"skipped {each}" for each in skipped),
    )


def judged(stream: Stream, runs: int, seed: int) -> dict[str, Any]:
    """Shares of right kinds, wrong answers, and of right app versions."""
    rng = np.random.default_rng((8, seed))
    right: dict[str, list[bool]] = {}
    named: list[bool] = []
    wrong: dict[str, int] = {}
    lengths = [n for n in WINDOWS if n <= max(300, len(stream.reference) // 4)]
    usual_shares = {n: stream.usual(n) for n in lengths}
    for run in range(runs):
        for n in lengths:
            for kind, fault in faults(stream, rng):
                of_one = kind in (Kind.NULLS, Kind.UNIT_CHANGE) and run % 2 == 1 and n >= 1_000
                answer = answered(stream, n, fault, of_one, kind, usual_shares[n], rng)
                got = answer.kind if answer else None
                right.setdefault(kind, []).append(got is kind)
                if of_one:
                    named.append(answer is not None and answer.producer == BROKEN)
                if got is not kind:
                    text = f"{kind} -> {got}"
                    wrong[text] = wrong.get(text, 0) + 1
    quiet, alarms = quiet_windows(stream, 10 * runs, lengths, usual_shares, rng)
    return {
        "right": {str(kind): float(np.mean(found)) for kind, found in right.items()},
        "wrong": wrong,
        "version_named": float(np.mean(named)) if named else None,
        "quiet": quiet,
        "quiet_wrong": len(alarms),
        "alarms": alarms[:3],
    }


def quiet_windows(
    stream: Stream,
    runs: int,
    lengths: list[int],
    usual_shares: dict[int, float],
    rng: np.random.Generator,
) -> tuple[int, list[str]]:
    """How many quiet windows there were, and what was said of them."""
    alarms = []
    for run in range(runs):
        n = lengths[run % len(lengths)]
        answer = answered(stream, n, None, False, None, usual_shares[n], rng)
        if answer is not None:
            alarms.append(answer.words)
    return runs, alarms


def answered(
    stream: Stream,
    n: int,
    fault: Callable[[Values], Values] | None,
    of_one: bool,
    kind: Kind | None,
    usual_share: float,
    rng: np.random.Generator,
) -> Diagnosis | None:
    """What is said of a window with a fault."""
    values = stream.window(rng, n).copy()
    version = rng.choice(len(VERSIONS), len(values), p=PARTS)
    if fault is not None:
        hit = version == VERSIONS.index(BROKEN) if of_one else np.ones(len(values), bool)
        values[hit] = fault(values[hit])
    repeats = Repeats.none(1)
    repeats.add(values[:, None])
    counts = FeatureCounts(
        stream.name,
        stream.histogram,
        stream.counts,
        magnitudes(values),
        repeats.of(0),
        usual_share,
        {name: magnitudes(values[version == place]) for place, name in enumerate(VERSIONS)},
    )
    return diagnose(counts, SINCE, moved=kind is not None)


def faults(
    stream: Stream, rng: np.random.Generator
) -> Iterator[tuple[Kind, Callable[[Values], Values]]]:
    """One fault of each kind that the stream can have."""
    few = stream.values
    known = stream.reference[np.isfinite(stream.reference)]
    is_constant = most_common(known) > 0.9
    share = rng.choice([1.0, 0.2])
    yield Kind.NULLS, lambda x: np.where(rng.random(len(x)) < share, np.float32(np.nan), x)
    factor = np.float32(rng.choice([100, 0.01, 60, 1_000]))
    if not is_constant:
        yield Kind.UNIT_CHANGE, lambda x: x * factor
        if few is not None or rng.random() < 0.5:
            yield Kind.STUCK, lambda x: np.full_like(x, x[0])
        else:
            value = np.float32(rng.choice([-1, 999]))
            yield Kind.STUCK, lambda x: np.where(rng.random(len(x)) < 0.4, value, x)
    if few is not None:
        new = np.float32(next(code for code in range(1, 999) if code not in few))
        yield Kind.NEW_CATEGORY, lambda x: np.where(rng.random(len(x)) < 0.1, new, x)
        return
    far = np.float32(-20 * np.abs(known).max())
    odd = far * rng.uniform(1, 2, 10_000).astype(np.float32)
    yield Kind.NEW_RANGE, lambda x: np.where(rng.random(len(x)) < 0.1, odd[: len(x)], x)
    yield Kind.COVARIATE_SHIFT, shift(known, rng)


def shift(known: Values, rng: np.random.Generator) -> Callable[[Values], Values]:
    """The mean moves by .5 or 1 standard deviation, or the spread by a half.

    Of features that are never negative that happens to their logarithms, and zeros stay.
    """
    move, times = [(0.5, 1.0), (1.0, 1.0), (0.0, 1.5)][rng.integers(3)]
    if (known < 0).any():
        mean, spread = float(known.mean()), float(known.std())
        return lambda x: (mean + move * spread + times * (x - mean)).astype(np.float32)
    logs, is_whole = np.log(known[known > 0]), (known == np.round(known)).all()
    mean, spread = float(logs.mean()), float(logs.std())

    def moved(x: Values) -> Values:
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = mean + move * spread + times * (np.log(x) - mean)
        after = np.where(x > 0, np.exp(logs), x).astype(np.float32)
        return np.round(after) if is_whole else after

    return moved


def minutes(rng: np.random.Generator, days: int, rate: float, bursts: float) -> NDArray[np.int64]:
    """Events by minute: nearly none at night, at noon twice the rate, in bursts of 20 minutes."""
    hour = np.arange(days * 1_440) / 60 % 24
    profile = np.maximum(0.02, 1 + np.sin((hour - 8) * 2 * np.pi / 24))
    burst = np.repeat(rng.gamma(1 / bursts, bursts, days * 72), 20) if bursts else 1.0
    return rng.poisson(rate * profile * burst)


def silences(runs: int) -> dict[str, Any]:
    """Silences found within a day, how long that took, how well it was dated, and false alarms."""
    found, off, false = [], [], 0
    waited: dict[str, list[int]] = {}
    for run in range(runs):
        rng = np.random.default_rng((13, run))
        rate, bursts = rng.choice([3.0, 30.0, 300.0]), rng.choice([0.0, 0.3, 1.0])
        counts = minutes(rng, 22, rate, bursts)
        past = usual(counts[: 21 * 1_440], 0)
        day = counts[21 * 1_440 :].copy()
        first = 21 * 86_400_000
        ends = range(10, 1_441, 10)
        false += any(silent(day[:end], first, past) for end in ends)
        stop = int(rng.integers(60, 600))
        day[stop:] = 0
        answers = [(end, silent(day[:end], first, past)) for end in ends]
        end, answer = next((each for each in answers if each[1]), (0, None))
        found.append(answer is not None)
        if answer is not None:
            waited.setdefault(f"bursts of variance {bursts}", []).append(end - stop)
            off.append(abs((answer.since - first) // 60_000 - stop))
    return {
        "runs": runs,
        "found": float(np.mean(found)),
        "minutes_until": {name: median(each) for name, each in sorted(waited.items())},
        "minutes_off": float(np.median(off)) if off else None,
        "false": false,
    }


def dead_letters(runs: int) -> dict[str, Any]:
    """Bursts of one version's dead letters that get their kind and version, and false alarms.

    Quiet rates vary by the hour, up to twice the usual one and down to half of it.
    """
    found, false = [], 0
    for run in range(runs):
        rng = np.random.default_rng((14, run))
        rate = float(rng.choice([0.0001, 0.002, 0.02]))
        past = (int(rng.binomial(200_000, rate)), 200_000)
        records = (np.array(PARTS) * rng.integers(500, 5_000)).astype(int)
        quiet = rng.binomial(records, rate * rng.uniform(0.5, 2))
        broken = quiet + (np.array(VERSIONS) == BROKEN) * rng.binomial(records, 0.5)
        reason = (Reason.WRONG_TYPE, Reason.NOT_JSON)[run % 2]
        kind = (Kind.SCHEMA, Kind.DEAD_LETTERS)[run % 2]
        calm, burst = (
            dead_letters_found(reason, past, dict(zip(VERSIONS, pairs, strict=True)), SINCE)
            for pairs in (
                list(zip(letters.tolist(), records.tolist(), strict=True))
                for letters in (quiet, broken)
            )
        )
        false += calm is not None
        found.append(burst is not None and (burst.kind, burst.producer) == (kind, BROKEN))
    return {"runs": runs, "found": float(np.mean(found)), "false": false}


def speeds(events: int) -> dict[str, float]:
    """Values of 30 features that one core counts in a second, in millions; the median of five."""
    values = np.random.default_rng(5).lognormal(3, 1, (events, 30)).astype(np.float32)
    keys = np.random.default_rng(6).integers(1, 100_000, events).astype(np.uint64)
    counts, repeats = np.zeros((30, BUCKETS), np.int64), Repeats.none(30)
    variations = Variations(30)
    tasks: dict[str, Callable[[], None]] = {
        "magnitudes": lambda: count_magnitudes(values, counts),
        "repeats": lambda: repeats.add(values),
        "variations": lambda: variations.add(keys, values),
    }
    found = {}
    for name, task in tasks.items():
        times = []
        for _ in range(6):
            began = perf_counter()
            task()
            times.append(perf_counter() - began)
        found[name] = round(values.size / median(times[1:]) / 1e6, 1)
    return found


def table(rows: dict[str, Any], quiet: int, windows: int) -> str:
    """A line a stream: shares of right kinds, what was said instead."""
    kinds = list(dict.fromkeys(kind for row in rows.values() for kind in row["right"]))
    lines = [f"{'':34}" + "".join(f"{kind[:13]:>14}" for kind in kinds) + "  version  quiet"]
    for name, row in rows.items():
        cells = [row["right"].get(kind) for kind in kinds]
        line = f"{name[:33]:34}"
        line += "".join(f"{'-' if cell is None else f'{cell:.2f}':>14}" for cell in cells)
        named = row["version_named"]
        line += f"{'-' if named is None else f'{named:.2f}':>9}"
        lines.append(line + f"{row['quiet_wrong']:4}/{row['quiet']}")
        lines += [f"    {text}: {count}" for text, count in row["wrong"].items()]
        lines += [f"    quiet: {text}" for text in row["alarms"]]
    return "\n".join([*lines, f"\nquiet windows called broken: {quiet} of {windows}"])


if __name__ == "__main__":
    main()
