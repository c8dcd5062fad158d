"""How fast feature windows are: `FeatureState.update` against the same features in plain Python.

The stream is like the Fraud Detection Handbook's: 5,000 customers, 10,000 terminals, 9,600 payments
a day, labels after 7 days, 15 features over windows of 1, 7 and 30 days. Contender is what one
writes by hand: a deque and a running sum for each entity and window, one event after another. Both
take the same micro-batches in turn, on the same history, and their features are compared.

The second row is the hard case for windows that are computed anew for each event: one customer with
90 % of all events, 250,000 of them in its longest window. The last column is what it costs to
record each batch so that it can be undone, as the scorer does.
"""

import sys
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from pydantic import TypeAdapter

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.harness import arguments, report
from streams.events.contract import EventContract
from streams.events.record_batch import RecordBatch
from streams.features import FeatureDeclaration, FeaturePlan
from streams.features.label_batch import LabelBatch
from streams.features.state import FeatureState
from streams.features.window_settings import WindowSettings

DAY = 86_400_000
WINDOWS = (1, 7, 30)
DELAY = 7
PER_DAY = 9_600
BATCH = 1_000
HISTORY = 38 * PER_DAY
TARGET_RATIO = 5.0

CONTRACT = EventContract.model_validate(
    {
        "id": "id",
        "time": "time",
        "key": "customer",
        "fields": {
            "id": {"type": "int"},
            "customer": {"type": "int"},
            "terminal": {"type": "int"},
            "amount": {"type": "float"},
        },
    }
)


@dataclass(slots=True)
class Payment:
    """One decoded record."""

    id: int
    time: int
    customer: int
    terminal: int
    amount: float
    fraud: bool


def declarations() -> list[dict[str, Any]]:
    """Return the Handbook's 15 features."""
    tables: list[dict[str, Any]] = [
        {"name": "amount", "kind": "field", "field": "amount"},
        {"name": "weekend", "kind": "calendar", "part": "weekend"},
        {"name": "night", "kind": "calendar", "part": "night"},
    ]
    for days in WINDOWS:
        of_customer = {"kind": "window", "entity": "customer", "window": f"{days}d"}
        of_terminal = {"entity": "terminal", "window": f"{days}d", "delay": f"{DELAY}d"}
        tables += [
            {"name": f"payments_{days}d", "aggregate": "count", **of_customer},
            {"name": f"mean_{days}d", "aggregate": "mean", "field": "amount", **of_customer},
            {"name": f"visits_{days}d", "kind": "window", "aggregate": "count", **of_terminal},
            {"name": f"risk_{days}d", "kind": "label", "aggregate": "rate", **of_terminal},
        ]
    return tables


def payments(rng: np.random.Generator, count: int, hot_share: float) -> list[Payment]:
    """Return payments in order of time; customer 0 makes `hot_share` of them."""
    activity = rng.gamma(2.0, size=5_000)
    customers = rng.choice(5_000, size=count, p=activity / activity.sum())
    customers[rng.random(count) < hot_share] = 0
    times = np.cumsum(rng.exponential(DAY / PER_DAY, count)).astype(np.int64) + 1_700_000_000_000
    amounts = np.round(rng.lognormal(3.5, 1.0, count), 2)
    terminals = rng.integers(10_000, size=count)
    frauds = rng.random(count) < 0.01
    columns = (times, customers, terminals, amounts, frauds)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return [Payment(number, *row) for number, row in enumerate(rows)]


def batches(events: list[Payment], size: int) -> Iterator[tuple[list[Payment], LabelBatch]]:
    """Yield micro-batches, each with the labels that become known in it."""
    times = np.array([event.time for event in events])
    known = times + DELAY * DAY
    learned = 0
    for start in range(0, len(events), size):
        part = events[start : start + size]
        due = int(np.searchsorted(known, part[-1].time, side="right"))
        yield (
            part,
            LabelBatch(
                [event.id for event in events[learned:due]],
                np.array([float(event.fraud) for event in events[learned:due]]),
                np.searchsorted(times[start : start + size], known[learned:due]),
            ),
        )
        learned = due


class RunningWindow:
    """Number and sum of the values of a window, kept up to date."""

    __slots__ = ("entries", "length", "total")

    def __init__(self, days: int) -> None:
        self.length = days * DAY
        self.entries: deque[tuple[int, float]] = deque()
        self.total = 0.0

    def count_and_mean(self, until: int) -> tuple[int, float]:
        """Let go what is too old."""
        entries, oldest = self.entries, until - self.length
        while entries and entries[0][0] <= oldest:
            self.total -= entries.popleft()[1]
        return len(entries), self.total / len(entries) if entries else 0.0


class PlainPython:
    """The same features with deques and running sums."""

    def __init__(self) -> None:
        def make() -> list[RunningWindow]:
            return [RunningWindow(days) for days in WINDOWS]

        self.customers: defaultdict[int, list[RunningWindow]] = defaultdict(make)
        self.terminals: defaultdict[int, list[RunningWindow]] = defaultdict(make)
        self.pending: defaultdict[int, deque[list[Any]]] = defaultdict(deque)
        self.unlabelled: dict[int, list[Any]] = {}

    def update(self, events: list[Payment], labels: LabelBatch) -> list[list[float]]:
        """Return the features of one micro-batch."""
        known = list(zip(labels.before.tolist(), labels.ids, labels.values.tolist(), strict=True))
        rows, learned = [], 0
        for position, event in enumerate(events):
            while learned < len(known) and known[learned][0] <= position:
                _, about, fraud = known[learned]
                self.unlabelled.pop(about)[1] = fraud
                learned += 1
            rows.append(self.features(event))
        return rows

    def features(self, event: Payment) -> list[float]:
        """Return the features of one event."""
        time = event.time
        weekday, hour = (time // DAY + 3) % 7, time % DAY // 3_600_000
        row = [event.amount, float(weekday >= 5), float(hour <= 6)]
        entry = [time, 0.0]
        self.unlabelled[event.id] = entry
        pending = self.pending[event.terminal]
        pending.append(entry)
        until = time - DELAY * DAY
        of_terminal = self.terminals[event.terminal]
        while pending and pending[0][0] <= until:
            at, fraud = pending.popleft()
            for window in of_terminal:
                window.entries.append((at, fraud))
                window.total += fraud
        for customer, terminal in zip(self.customers[event.customer], of_terminal, strict=True):
            customer.entries.append((time, event.amount))
            customer.total += event.amount
            row += customer.count_and_mean(time)
            row += terminal.count_and_mean(until)
        return row


def measure(hot_share: float, measured: int) -> dict[str, Any]:
    """Return the median microseconds per event of both, on the same micro-batches."""
    plan = FeaturePlan(
        TypeAdapter(list[FeatureDeclaration]).validate_python(declarations()), CONTRACT
    )
    state = FeatureState(plan, WindowSettings(max_events_per_entity=1 << 20))
    marked = FeatureState(plan, WindowSettings(max_events_per_entity=1 << 20))
    plain = PlainPython()
    events = payments(np.random.default_rng(11), HISTORY + measured, hot_share)
    seconds: dict[str, list[float]] = {"compiled": [], "plain": [], "marked": []}

    def timed(name: str, function: Callable[[], Any]) -> Any:
        start = perf_counter()
        result = function()
        seconds[name].append(perf_counter() - start)
        return result

    worst = 0.0
    for number, (part, labels) in enumerate(batches(events, BATCH)):
        times = np.array([event.time for event in part])
        batch, again = RecordBatch(CONTRACT, part, times), RecordBatch(CONTRACT, part, times)

        def take_marked(batch: RecordBatch = again, labels: LabelBatch = labels) -> None:
            timed("marked", lambda: update_marked(marked, batch, labels))

        # In turn, since the second finds the records in the processor's cache.
        if number % 2:
            take_marked()
        matrix = timed("compiled", lambda b=batch, k=labels: state.update(b, k)).matrix
        if number % 2 == 0:
            take_marked()
        rows = timed("plain", lambda p=part, k=labels: plain.update(p, k))
        worst = max(worst, float(np.max(np.abs(matrix - np.array(rows)))))
    if worst > 1e-6:
        raise SystemExit(f"the two differ by {worst}: the benchmark compares nothing")
    steady = {name: median(taken[HISTORY // BATCH :]) for name, taken in seconds.items()}
    return {
        "microseconds_per_event": {n: 1e6 * s / BATCH for n, s in steady.items()},
        "events_per_second": {n: round(BATCH / s) for n, s in steady.items()},
        "ratio": steady["plain"] / steady["compiled"],
        "cost_of_undo": steady["marked"] / steady["compiled"] - 1.0,
        "largest_difference": worst,
        "state_megabytes": state.nbytes / 1e6,
    }


def update_marked(state: FeatureState, batch: RecordBatch, labels: LabelBatch) -> None:
    """Take in a batch as the stream does: it can be undone until the next one is in."""
    state.savepoint()
    state.update(batch, labels)
    if state.savepoints > 1:
        state.commit()


def main() -> None:
    """Measure and report."""
    args = arguments(__doc__)
    usual = measure(hot_share=0.0, measured=(30 if args.quick else 200) * BATCH)
    hot = measure(hot_share=0.9, measured=(6 if args.quick else 20) * BATCH)
    report(
        args,
        name="features",
        figure=usual["ratio"],
        unit="times the events/s of deques and running sums in plain Python",
        target=TARGET_RATIO,
        met=usual["ratio"] >= TARGET_RATIO,
        details={
            "usual": usual,
            "one_customer_with_90_percent": hot,
            "features": len(declarations()),
            "batch": BATCH,
            "history_events": HISTORY,
        },
        text=_table(usual, hot),
    )


def _table(usual: dict[str, Any], hot: dict[str, Any]) -> str:
    lines = [
        f"{'microseconds per event':28} {'compiled':>10} {'plain Python':>13} {'ratio':>7}"
        f" {'undoable':>10}"
    ]
    for name, result in (("5,000 customers", usual), ("one customer with 90 %", hot)):
        cost = result["microseconds_per_event"]
        lines.append(
            f"{name:28} {cost['compiled']:10.2f} {cost['plain']:13.2f} {result['ratio']:7.2f}"
            f" {result['cost_of_undo']:+10.0%}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
