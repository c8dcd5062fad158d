"""What `event.deduplicate` costs: memory per id, time per event, and the scorer's rate with it.

Ids come at one rate, and are remembered for the time in which `--ids` of them come; as many again
follow, so that an old one goes for each new one. The scorer reads the same simulated events from
one broker without the setting and with it, in turn, on one core. Times are CPU time, which says the
same on a machine that others use.
"""

import os
import sys
import tempfile
from itertools import count
from pathlib import Path
from statistics import mean, median
from time import process_time
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.harness import arguments, report
from benchmarks.scorer import CORES, broker_apart, prepare, publish, run_scorer
from streams.features.hashing import Secret
from streams.features.recent_ids import RecentIds
from streams.files.event_file import open_events
from weir.config.settings import Settings, load_settings
from weir.training.registering import train_and_register

_BATCH = 1_000
_MOST_INT, _MOST_TEXT = 26.0, 35.0
TARGET = 0.95
_WEEKS = 10 * 7 * 86_400_000


def measure_ids(ids: int, texts: bool) -> dict[str, float]:
    """Bytes an id at most and in the end, and CPU time of an event while ids come and go."""
    recent = RecentIds(ids - 1, 2 * ids, Secret.new(), texts=texts)
    recent.take_in(["a"] if texts else [-1], np.zeros(1, np.int64), np.zeros(1, np.int64))
    most = 0.0
    spent = []
    for first in range(0, 2 * ids, _BATCH):
        numbers = range(first, first + _BATCH)
        batch: list[Any] = [f"payment-{n:012}" for n in numbers] if texts else list(numbers)
        times = np.arange(first, first + _BATCH)
        start = process_time()
        new = recent.take_in(batch, times, times + 1)
        recent.settle(first + _BATCH + 1)
        spent.append((process_time() - start) / _BATCH)
        assert new.all()
        if len(recent) > ids // 10:
            most = max(most, recent.nbytes / len(recent))
    return {
        "remembered": len(recent),
        "bytes_an_id_at_most": round(most, 1),
        "bytes_an_id_in_the_end": round(recent.nbytes / len(recent), 1),
        "ns_an_event_filling": round(1e9 * mean(spent[: len(spent) // 2])),
        "ns_an_event_full": round(1e9 * mean(spent[len(spent) // 2 :])),
    }


def measure_scorer(args: Any, folder: Path) -> dict[str, list[float]]:
    """Events per second of CPU time of some runs without the setting and with it."""
    config, events = prepare(folder, args)
    settings = load_settings(config)
    file = open_events(events, settings.event, settings.labels.field)
    train_and_register(settings, file, None, None)
    rates: dict[str, list[float]] = {"off": [], "on": []}
    numbers = count()
    with broker_apart(folder) as kafka:
        publish(file, kafka, settings)
        os.sched_setaffinity(0, {CORES[0]})
        for _ in range(args.pairs):
            for name, within in (("off", None), ("on", _WEEKS)):
                run = _with(settings, within, f"repeats-{next(numbers)}")
                recorder = run_scorer(run, kafka, len(file))
                assert recorder.run is not None
                rates[name].append(round(1e6 / recorder.run.cpu))
    return rates


def _with(settings: Settings, within: int | None, group: str) -> Settings:
    event = settings.event.model_copy(update={"deduplicate": within})
    loop = settings.loop.model_copy(update={"group": group})
    return settings.model_copy(update={"event": event, "loop": loop})


def main() -> None:
    """Run and report."""
    args = arguments(
        __doc__ or "",
        ids={"type": int, "default": 2_000_000},
        events={"type": int, "default": 300_000},
        pairs={"type": int, "default": 3, "help": "runs without and with it (default: 3)"},
    )
    args.handbook = args.before = None
    if args.quick:
        args.ids, args.pairs = 200_000, 1
    measured = {
        name: measure_ids(args.ids, texts) for name, texts in (("int", False), ("string", True))
    }
    with tempfile.TemporaryDirectory(prefix="weir-repeats-") as name:
        rates = measure_scorer(args, Path(name))
    ratio = median(on / off for off, on in zip(rates["off"], rates["on"], strict=True))
    small = (
        measured["int"]["bytes_an_id_at_most"] <= _MOST_INT
        and measured["string"]["bytes_an_id_at_most"] <= _MOST_TEXT
    )
    lines = [f"{name:>7} ids: {values}" for name, values in measured.items()]
    lines += [f"{name:>7}: {of_it} events/s of CPU time" for name, of_it in rates.items()]
    report(
        args,
        name="repeats",
        figure=round(ratio, 3),
        unit="of the rate without event.deduplicate",
        target=TARGET,
        met=ratio >= TARGET and small,
        details={"ids": measured, "events_per_second": rates, "pairs": args.pairs},
        text="\n".join(lines),
    )


if __name__ == "__main__":
    main()
