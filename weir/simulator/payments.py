"""Genuine payments: who pays, when, where and how much."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from weir.simulator.population import Customers, Terminals
from weir.simulator.settings import SimulatorSettings

DAY_MS = 86_400_000
_HOUR_MS = 3_600_000
_WEEKDAYS = np.array([0.95, 0.92, 0.95, 1.0, 1.15, 1.25, 0.78])
"""How busy Monday to Sunday are; the mean is 1."""


@dataclass(frozen=True)
class Payments:
    """Payments by column, each of shape (n,)."""

    time_ms: NDArray[np.int64]
    """Milliseconds since the start of the simulation."""
    customer: NDArray[np.int64]
    terminal: NDArray[np.int64]
    amount: NDArray[np.float64]
    """EUR, two decimals."""

    def __len__(self) -> int:
        return len(self.time_ms)


def draw_payments(
    settings: SimulatorSettings,
    customers: Customers,
    terminals: Terminals,
    rng: np.random.Generator,
) -> Payments:
    """Draw every customer's genuine payments, in order of customer and not of time."""
    weekday = (settings.start.weekday() + np.arange(settings.days)) % 7
    busy = _WEEKDAYS[weekday]
    # A Poisson number over the whole span, spread over its days in proportion, is a Poisson
    # number per day; so memory grows with events, not with customers times days.
    count = rng.poisson(customers.rate * busy.sum())
    customer = np.repeat(np.arange(len(count)), count)
    n = len(customer)

    day = rng.choice(settings.days, size=n, p=busy / busy.sum())
    peak = (rng.random(n) >= customers.first_peak[customer]).astype(np.int64)
    hour = customers.peaks[customer, peak] + customers.peak_width[customer] * rng.normal(size=n)
    time_ms = day * DAY_MS + ((hour % 24.0) * _HOUR_MS).astype(np.int64) % DAY_MS

    terminal = customers.reach[customer, _pick_columns(customers.preference, customer, rng)]
    mean = customers.amount[customer] * terminals.price[terminal]
    spread = customers.spread[customer]
    amount = mean * np.exp(spread * rng.normal(size=n) - spread**2 / 2)
    return Payments(time_ms, customer, terminal, round_amount(amount))


def round_amount(amount: NDArray[np.float64]) -> NDArray[np.float64]:
    """Amounts in whole cents, at least one."""
    return np.maximum(np.round(amount, 2), 0.01)


def _pick_columns(
    probability: NDArray[np.float64], row: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """A random column for each entry of ``row``, by the probabilities of that row; shape (n,)."""
    rows, columns = probability.shape
    cumulative = np.cumsum(probability, axis=1)
    cumulative[:, -1] = 1.0
    # Row r of the table lies in (r, r + 1]: one sorted array, one search for all draws.
    ladder = (cumulative + np.arange(rows)[:, None]).ravel()
    found = np.searchsorted(ladder, row + rng.random(len(row)), side="right")
    # Far up the ladder a draw just below 1 rounds to 1: it belongs to the last column.
    column: NDArray[np.int64] = np.minimum(found - row * columns, columns - 1)
    return column
