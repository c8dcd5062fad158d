"""How fast records become columns: `Decoder` against the parser alone, and against the others.

The figure is the decoder's throughput over that of one `msgspec` call per record without any
check, both with the event times and three columns: the price of what the decoder adds. Every
contender decodes the same batches, in an order drawn anew for each, so that a busy machine slows
all of them.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.harness import arguments, report
from streams.events.contract import EventContract
from streams.events.json_decoder import Decoder

BASELINE = "msgspec with 3 columns"
NOW = 1_700_000_000_000
BATCH = 1_000
COLUMNS = ("customer_id", "amount", "balance")
TARGET_RATIO = 0.8
TARGET_RATE = 700_000

CONTRACT = EventContract.model_validate(
    {
        "id": "transaction_id",
        "time": "time",
        "key": "customer_id",
        "fields": {
            "transaction_id": {"type": "int"},
            "customer_id": {"type": "int", "min": 0},
            "terminal_id": {"type": "int"},
            "amount": {"type": "float", "min": 0, "max": 1e6},
            "currency": {"type": "string", "max_length": 3},
            "card_present": {"type": "bool", "required": False},
            "country": {"type": "string"},
            "balance": {"type": "float", "required": False},
        },
    }
)


class Event(msgspec.Struct, gc=False):
    """The contract's record, written by hand and without its bounds."""

    transaction_id: int
    time: int
    customer_id: int
    terminal_id: int
    amount: float
    currency: str
    country: str
    card_present: bool | None = None
    balance: float | None = None


def make_batch(rng: np.random.Generator, number: int) -> list[bytes]:
    """Return the JSON of one batch of card payments."""
    return [
        json.dumps(
            {
                "transaction_id": 10**9 + number * BATCH + index,
                "time": NOW + index,
                "customer_id": int(rng.integers(10**6)),
                "terminal_id": int(rng.integers(10**5)),
                "amount": round(float(rng.lognormal(3, 1)), 2),
                "currency": str(rng.choice(["EUR", "USD"])),
                "card_present": bool(rng.integers(2)),
                "country": str(rng.choice(["FI", "SE"])),
                "balance": round(float(rng.random()) * 1000, 2),
            }
        ).encode()
        for index in range(BATCH)
    ]


def contenders() -> dict[str, Callable[[list[bytes]], Any]]:
    """Return what is measured: a name and a function of one batch's values."""
    decoder = Decoder(CONTRACT, lambda: NOW)
    one = msgspec.json.Decoder(Event)
    joined = msgspec.json.Decoder(list[Event])

    def columns(values: list[bytes]) -> None:
        decoded = decoder.decode(values)
        for name in COLUMNS:
            decoded.events.numbers(name)

    def bare_columns(values: list[bytes]) -> None:
        events = [one.decode(value) for value in values]
        np.array([event.time for event in events], dtype=np.int64)
        for name in COLUMNS:
            np.array([getattr(event, name) for event in events], dtype=np.float64)

    def one_bad(values: list[bytes]) -> None:
        middle = len(values) // 2
        columns([*values[:middle], values[middle][:-1], *values[middle + 1 :]])

    return {
        "decoder with 3 columns": columns,
        "decoder alone": decoder.decode,
        "decoder, 1 bad in the batch": one_bad,
        "decoder, all cut off": lambda values: columns([value[:-1] for value in values]),
        "decoder, all out of bounds": lambda values: columns(
            [value.replace(b'"amount": ', b'"amount": -') for value in values]
        ),
        BASELINE: bare_columns,
        "msgspec, a call per record": lambda values: [one.decode(value) for value in values],
        "msgspec, a call per batch": lambda values: joined.decode(b"[" + b",".join(values) + b"]"),
        "json.loads per record": lambda values: [json.loads(value) for value in values],
    }


def measure(batches: int, rounds: int) -> dict[str, float]:
    """Return the median records per second of each contender."""
    rng = np.random.default_rng(7)
    data = [make_batch(rng, number) for number in range(batches)]
    functions = contenders()
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds):
        for values in data:
            for name in rng.permutation(list(functions)):
                start = time.perf_counter()
                functions[name](values)
                seconds[name].append(time.perf_counter() - start)
    return {name: BATCH / statistics.median(taken) for name, taken in seconds.items()}


def main() -> None:
    """Measure and print."""
    args = arguments(__doc__ or "")
    rates = measure(batches=10 if args.quick else 60, rounds=1 if args.quick else 5)
    ours = rates["decoder with 3 columns"]
    figure = ours / rates[BASELINE]
    report(
        args,
        name="decode",
        figure=round(figure, 3),
        unit="of the rate of unchecked msgspec",
        target=TARGET_RATIO,
        met=figure >= TARGET_RATIO and ours >= TARGET_RATE,
        details={
            "records_per_second": {name: round(rate) for name, rate in rates.items()},
            "target_records_per_second": TARGET_RATE,
            "batch": BATCH,
            "record_bytes": len(make_batch(np.random.default_rng(7), 0)[0]),
        },
        text="\n".join(f"{name:<32}{rate:>12,.0f} records/s" for name, rate in rates.items()),
    )


if __name__ == "__main__":
    main()
