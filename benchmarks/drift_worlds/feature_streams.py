"""Features that may break, simulated and real: a reference, and windows that come later."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from inference.packages.drift_reference import Histogram, fit_histogram
from monitoring.breakage.distinct import distinct_values
from monitoring.breakage.magnitudes import Counts, magnitudes

BINS = 20
Values = NDArray[np.float32]


@dataclass(frozen=True)
class Stream:
    """A feature: its reference, and how to draw a later window of n values in their order."""

    name: str
    reference: Values
    window: Callable[[np.random.Generator, int], Values]

    def __post_init__(self) -> None:
        object.__setattr__(self, "histogram", fit_histogram(self.reference, BINS))
        object.__setattr__(self, "counts", magnitudes(self.reference))
        few = distinct_values(self.histogram, self.counts)
        object.__setattr__(self, "values", few)

    histogram: Histogram = field(init=False)
    counts: Counts = field(init=False)
    values: set[float] | None = field(init=False)

    def usual(self, n: int) -> float:
        """The largest share of one value in spans of n of the reference."""
        starts = range(0, max(1, len(self.reference) - n), n)
        return max(most_common(self.reference[start : start + n]) for start in starts)


def most_common(values: Values) -> float:
    """The share of the most common value."""
    _, counts = np.unique(values, return_counts=True)
    return float(counts.max() / len(values))


def ar1(rng: np.random.Generator, n: int, phi: float) -> NDArray[np.float64]:
    """A stationary AR(1) of variance 1."""
    noise = rng.normal(0, np.sqrt(1 - phi**2), n)
    noise[0] = rng.normal()
    return np.asarray(lfilter([1.0], [1.0, -phi], noise))


def simulated() -> Iterator[Stream]:
    """Streams of known kinds."""

    def cycle(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
        """Of n events over an hour or so of some day: -1 at night, 1 at noon."""
        start = rng.uniform(0, 24)
        return np.sin((start + np.linspace(0, min(24, n / 1_000), n)) * 2 * np.pi / 24)

    draws: dict[str, Callable[[np.random.Generator, int], NDArray[Any]]] = {
        "ar1": lambda rng, n: 10 + 2 * ar1(rng, n, 0.9),
        "normal": lambda rng, n: rng.normal(0, 1, n),
        "lognormal": lambda rng, n: rng.lognormal(4.3, 1.2, n),
        "slow_lognormal": lambda rng, n: np.exp(4.3 + 1.2 * ar1(rng, n, 0.99)),
        "zero_inflated": lambda rng, n: np.where(rng.random(n) < 0.6, 0, rng.lognormal(2, 1, n)),
        "seasonal": lambda rng, n: rng.lognormal(3 + 0.5 * cycle(rng, n), 0.8),
        "mixed": lambda rng, n: np.where(
            rng.random(n) < 0.3 + 0.2 * cycle(rng, n),
            rng.lognormal(7.6, 0.5, n),
            rng.lognormal(3, 0.5, n),
        ),
        "counts": lambda rng, n: rng.poisson(2 + cycle(rng, n)),
        "categories": lambda rng, n: rng.choice([1, 2, 3, 5, 8], n, p=[0.4, 0.3, 0.2, 0.07, 0.03]),
        "flag": lambda rng, n: rng.random(n) < 0.05,
    }
    rng = np.random.default_rng(1)
    for name, draw in draws.items():
        past = np.concatenate([draw(rng, 1_000) for _ in range(100)])
        yield Stream(
            name,
            past.astype(np.float32),
            lambda rng, n, draw=draw: draw(rng, n).astype(np.float32),  # type: ignore[misc]
        )


def real(data: Path, skipped: list[str]) -> Iterator[Stream]:
    """Streams of real data sets: the reference is what came first."""
    import pandas as pd

    def later(name: str, values: Any, part: float = 0.5) -> Stream:
        series = np.asarray(values, np.float32)
        split = int(part * len(series))

        def window(rng: np.random.Generator, n: int) -> Values:
            n = min(n, (len(series) - split) // 2)
            start = rng.integers(split, len(series) - n)
            return series[start : start + n]

        return Stream(name, series[:split], window)

    def found(path: str) -> Path | None:
        if (data / path).exists():
            return data / path
        skipped.append(f"{path}: not in {data.name}")
        return None

    if path := found("handbook/transactions.parquet"):
        yield later("handbook amount", pd.read_parquet(path).TX_AMOUNT)
    if path := found("handbook/golden_features_2018-07-25_2018-08-14.parquet"):
        golden = pd.read_parquet(path).select_dtypes("number")
        for name in golden.columns:
            if "WINDOW" in name and name.endswith(("1DAY_WINDOW", "30DAY_WINDOW")):
                yield later(f"handbook {name.lower()}", golden[name])
    if path := found("kdd99_http/http.parquet"):
        http = pd.read_parquet(path)
        http = http[http.label == 0]
        for name in ("log_src_bytes", "log_dst_bytes"):
            yield later(f"kdd http {name}", http[name])
    if path := found("ulb_sample/creditcard_sample5k.csv.gz"):
        ulb = pd.read_csv(path).sort_values("Time")
        for name in ("V1", "V14", "Amount"):
            yield later(f"ulb {name}", ulb[name])
    if path := found("skab/skab_valve1.parquet"):
        skab = pd.read_parquet(path)
        calm = skab[skab.file.astype(str).str.startswith("anomaly-free")]
        for name in ("Current", "Voltage"):
            yield later(f"skab {name}", calm[name])
    for name in ("realTraffic/speed_7578", "realTweets/Twitter_volume_UPS"):
        if path := found(f"nab/data/{name}.csv"):
            yield later(f"nab {name}", pd.read_csv(path).value)
