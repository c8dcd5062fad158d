"""Streams of the drift campaign: vectors in the order of time, and who sent each."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.drift_worlds.faults import CULPRIT
from weir.simulator import SimulatorSettings, simulate

_T0 = 1_700_000_040_000
_GAP_MS = 600
_ROWS = 60_000
_HANDBOOK_MS = 21 * 86_400_000
"""The span of the golden features, whose rows come evenly here."""


@dataclass(frozen=True)
class CampaignStream:
    """A stream; its first half is what a model was trained on.

    Attributes:
        rows: float32 (n, features).
        times: UTC ms, rising, (n,).
        faulty: features that faults may befall.
    """

    name: str
    names: tuple[str, ...]
    rows: NDArray[np.float32]
    times: NDArray[np.int64]
    faulty: tuple[str, ...]

    def producers(self, rng: np.random.Generator) -> NDArray[np.str_]:
        """Whose each event is, (n,)."""
        return rng.choice(["4.0.1", "4.1.0", CULPRIT], len(self.rows), p=[0.4, 0.3, 0.3])


def streams(data: Path, rng: np.random.Generator, skipped: list[str]) -> Iterator[CampaignStream]:
    """All that there are; those whose data are missing are skipped, with the reason."""
    yield _simulated()
    yield _own(rng)
    handbook = data / "handbook" / "golden_features_2018-07-25_2018-08-14.parquet"
    if handbook.exists():
        yield _handbook(handbook)
    else:
        skipped.append(f"the Handbook's stream: there is no {handbook.name}")
    http = data / "kdd99_http" / "http.parquet"
    if http.exists():
        yield _http(http)
    else:
        skipped.append(f"kdd99_http: there is no {http.name}")


def _simulated() -> CampaignStream:
    """Amounts, hours and days of the simulator's transactions."""
    table = simulate(SimulatorSettings.for_events(_ROWS))
    times = table["time"].cast("timestamp[ms]").cast("int64").to_numpy()
    amount = table["amount"].to_numpy()
    hour = times // 3_600_000 % 24
    weekday = (times // 86_400_000 + 3) % 7
    rows = np.column_stack([amount, hour, weekday, np.sqrt(amount)]).astype(np.float32)
    names = ("amount", "hour", "weekday", "root")
    return CampaignStream("simulator", names, rows, times, ("amount", "root"))


def _own(rng: np.random.Generator) -> CampaignStream:
    """With missing values, categories, zeros and a heavy tail."""
    count = _ROWS
    price = rng.lognormal(3, 1, count)
    price[rng.random(count) < 0.05] = np.nan
    category = rng.choice([1, 2, 3, 5, 8], count, p=[0.4, 0.3, 0.2, 0.07, 0.03])
    balance = np.where(rng.random(count) < 0.3, 0, rng.gamma(2, 500, count))
    visits = rng.poisson(3, count)
    rows = np.column_stack([price, category, balance, visits]).astype(np.float32)
    names = ("price", "category", "balance", "visits")
    times = _T0 + np.arange(count) * _GAP_MS
    return CampaignStream("own", names, rows, times, ("price", "balance"))


def _handbook(path: Path) -> CampaignStream:
    table = pq.read_table(path)
    order = np.argsort(table["TRANSACTION_ID"].to_numpy(), kind="stable")
    times = _T0 + np.arange(len(order)) * (_HANDBOOK_MS // len(order))
    names = tuple(
        name
        for name in table.column_names
        if name == "TX_AMOUNT" or name.startswith(("CUSTOMER_ID_", "TX_DURING"))
    )
    rows = np.column_stack([table[name].to_numpy() for name in names]).astype(np.float32)
    faulty = tuple(name for name in names if "AMOUNT" in name)
    return CampaignStream("handbook", names, rows[order], times, faulty)


def _http(path: Path) -> CampaignStream:
    """The first rows, before the attacks, in their order."""
    table = pq.read_table(path).slice(0, 3 * _ROWS)
    names = tuple(name for name in table.column_names if name not in ("seq", "label"))
    rows = np.column_stack([table[name].to_numpy() for name in names]).astype(np.float32)
    times = _T0 + np.arange(len(rows)) * _GAP_MS
    return CampaignStream("kdd99_http", names, rows, times, names[1:])
