"""How fast the feature state of a million entities is saved and loaded, and how large it is.

And how long a partition of an entity stage takes to come back: from its snapshot, or from its log.

Cards with text names make 5 payments each over 30 days, in 15 windows of 1, 7 and 30 days: number,
sum, mean and largest amount, and the rate of frauds once their labels are known after 7 days. The
state is dumped as a snapshot dumps it, and loaded into a new one, which must then answer the same.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import TypeAdapter

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.harness import arguments, report
from streams.events.contract import EventContract
from streams.features import FeatureDeclaration, FeaturePlan
from streams.features.label_batch import LabelBatch
from streams.features.state import FeatureState
from streams.features.window_settings import WindowSettings
from streams.files.arrow_batch import ColumnBatch
from streams.intake.time_merge import AlignmentSettings
from streams.stages.common.messages import RowCodec, SourceProgress
from streams.stages.common.split import split_plan
from streams.stages.entity.entity_stage import EntityStage

DAY = 86_400_000
DAYS = 30
DELAY = 7
PAYMENTS_PER_CARD = 5
BATCH = 100_000
ENTITIES = 1_000_000
TARGET_S = 10.0
STAGE_EVENTS = 1_000_000
EVENTS_PER_RECORD = 500

CONTRACT = EventContract.model_validate(
    {
        "id": "id",
        "time": "time",
        "key": "card",
        "fields": {"id": {"type": "int"}, "card": {"type": "string"}, "amount": {"type": "float"}},
    }
)


def declarations() -> list[dict[str, Any]]:
    """Return 15 windows over one entity."""
    tables: list[dict[str, Any]] = []
    for days in (1, 7, 30):
        window = {"kind": "window", "entity": "card", "window": f"{days}d"}
        tables += [
            {**window, "name": f"payments_{days}d", "aggregate": "count"},
            *(
                {**window, "name": f"{how}_{days}d", "aggregate": how, "field": "amount"}
                for how in ("sum", "mean", "max")
            ),
            {
                "kind": "label",
                "entity": "card",
                "window": f"{days}d",
                "delay": f"{DELAY}d",
                "name": f"fraud_rate_{days}d",
                "aggregate": "rate",
            },
        ]
    return tables


def batches(rng: np.random.Generator, cards: int) -> Iterator[tuple[ColumnBatch, LabelBatch]]:
    """Yield the payments in order of time, each batch with the labels known before it."""
    count = cards * PAYMENTS_PER_CARD
    times = np.sort(rng.integers(0, DAYS * DAY, count)) + 1_700_000_000_000
    # Every card at least once; the others come as they come.
    who = np.concatenate([np.arange(cards), rng.integers(cards, size=count - cards)])
    rng.shuffle(who)
    amounts = np.round(rng.lognormal(3.5, 1.0, count), 2)
    learned = 0
    for start in range(0, count, BATCH):
        rows = slice(start, min(start + BATCH, count))
        due = int(np.searchsorted(times, times[start] - DELAY * DAY))
        yield (
            column_batch(np.arange(count)[rows], times[rows], who[rows], amounts[rows]),
            LabelBatch(
                list(range(learned, due)),
                (rng.random(due - learned) < 0.01).astype(np.float64),
                np.zeros(due - learned, np.int64),
            ),
        )
        learned = due


def column_batch(
    ids: NDArray[np.int64],
    times: NDArray[np.int64],
    cards: NDArray[np.int64],
    amounts: NDArray[np.float64],
) -> ColumnBatch:
    """Return payments as a batch."""
    names = pa.array([f"card-{card:08d}" for card in cards.tolist()], pa.large_string())
    columns = {"id": pa.array(ids), "card": names, "amount": pa.array(amounts)}
    return ColumnBatch(CONTRACT, times, columns)


def measure(cards: int) -> dict[str, Any]:
    """Return seconds and bytes of a dump and a load."""
    rng = np.random.default_rng(3)
    plan = FeaturePlan(
        TypeAdapter(list[FeatureDeclaration]).validate_python(declarations()), CONTRACT
    )
    FeatureState.load(plan, None, FeatureState(plan).dump())  # compiles what is not compiled yet
    state = FeatureState(plan)
    events = 0
    start = perf_counter()
    for batch, labels in batches(rng, cards):
        state.update(batch, labels)
        events += len(batch)
    built = perf_counter() - start
    paused = median(fork_milliseconds() for _ in range(5))
    start = perf_counter()
    buffers = state.dump()
    dumped = perf_counter() - start
    # As they come from a topic: other memory, that the state must not keep.
    received = [bytes(buffer) for buffer in buffers]
    size = sum(map(len, received))
    start = perf_counter()
    loaded = FeatureState.load(plan, None, received)
    seconds = perf_counter() - start
    sample = rng.integers(cards, size=10_000)
    times = np.full(sample.size, 1_700_000_000_000 + DAYS * DAY)
    again = column_batch(np.arange(sample.size) + events, times, sample, np.ones(sample.size))
    if state.update(again).matrix.tobytes() != loaded.update(again).matrix.tobytes():
        raise SystemExit("the loaded state answers otherwise: the benchmark measures nothing")
    return {
        "entities": cards,
        "events": events,
        "windows": len(plan.names),
        "dump_seconds": dumped,
        "load_seconds": seconds,
        "replay_seconds": built,
        "dumped_bytes": size,
        "dumped_bytes_per_million_entities": round(size / cards * 1e6),
        "memory_bytes": state.nbytes,
        "memory_bytes_per_million_entities": round(state.nbytes / cards * 1e6),
        "fork_milliseconds": paused,
    }


def measure_stage(events: int) -> dict[str, Any]:
    """Return seconds that one partition of a stage takes to come back, both ways, in memory."""
    declared = [each for each in declarations() if each["kind"] == "window"]
    plan = FeaturePlan(TypeAdapter(list[FeatureDeclaration]).validate_python(declared), CONTRACT)
    (part,) = split_plan(plan, None).parts
    codec = RowCodec(CONTRACT, part.fields, part.digest)
    rng = np.random.default_rng(3)
    times = np.sort(rng.integers(0, DAYS * DAY, events)) + 1_700_000_000_000
    log = []
    for first in range(0, events, EVENTS_PER_RECORD):
        rows = [
            codec.new_row(i, time, time, time, None, i, f"card-{card:08d}", amount)
            for i, (time, card, amount) in enumerate(
                zip(
                    times[first : first + EVENTS_PER_RECORD].tolist(),
                    rng.integers(events // PAYMENTS_PER_CARD, size=EVENTS_PER_RECORD).tolist(),
                    rng.lognormal(3.5, 1.0, EVENTS_PER_RECORD).tolist(),
                    strict=False,
                ),
                first,
            )
        ]
        progress = SourceProgress(0, first + len(rows), rows[-1].merge_time, False)
        log += codec.encode(rows, progress)

    def stage() -> EntityStage:
        return EntityStage(
            CONTRACT,
            part=part,
            windows=WindowSettings(),
            alignment=AlignmentSettings(),
            events=1,
            labels=0,
            enriched="enriched",
            now_ms=lambda: 0,
        )

    worker = stage()
    worker.feed(enumerate(log))
    while worker.take(BATCH) is not None:
        worker.commit()
    assert worker.settled is not None
    dumped = [memoryview(bytes(buffer)) for buffer in worker.dump()]
    start = perf_counter()
    from_log = stage()
    from_log.begin(worker.settled)
    from_log.feed(enumerate(log))
    log_s = perf_counter() - start
    start = perf_counter()
    from_snapshot = stage()
    from_snapshot.begin(worker.settled, dumped)
    from_snapshot.feed(enumerate(log[from_snapshot.next_offset :], from_snapshot.next_offset))
    snapshot_s = perf_counter() - start
    if not from_log.ready or not from_snapshot.ready:
        raise SystemExit("the stage did not come back: the benchmark measures nothing")
    return {
        "events": events,
        "windows": len(plan.names),
        "from_log_seconds": log_s,
        "from_snapshot_seconds": snapshot_s,
        "from_log_events_per_second": round(events / log_s),
        "ratio": round(log_s / snapshot_s, 1),
        "snapshot_bytes": sum(map(len, dumped)),
    }


def fork_milliseconds() -> float:
    """How long this process, with all its state, stands still while it is forked."""
    start = perf_counter()
    child = os.fork()
    if child == 0:
        os._exit(0)
    paused = perf_counter() - start
    os.waitpid(child, 0)
    return 1e3 * paused


def main() -> None:
    """Measure and report."""
    args = arguments(__doc__)
    result = measure(ENTITIES // 10 if args.quick else ENTITIES)
    result["stage"] = measure_stage(STAGE_EVENTS // 10 if args.quick else STAGE_EVENTS)
    million = result["load_seconds"] / result["entities"] * 1e6
    report(
        args,
        name="restore",
        figure=million,
        unit="seconds to load the state of a million entities",
        target=TARGET_S,
        met=million < TARGET_S,
        details=result,
        text=_table(result),
    )


def _table(result: dict[str, Any]) -> str:
    megabytes = {name: result[f"{name}_bytes"] / 1e6 for name in ("dumped", "memory")}
    each = {name: result[f"{name}_bytes_per_million_entities"] / 1e6 for name in megabytes}
    return "\n".join(
        [
            f"{result['entities']:,} entities, {result['events']:,} events, "
            f"{result['windows']} windows",
            f"  dump   {result['dump_seconds']:6.2f} s   {megabytes['dumped']:8.1f} MB   "
            f"{each['dumped']:8.1f} MB per million entities",
            f"  load   {result['load_seconds']:6.2f} s",
            f"  replay {result['replay_seconds']:6.2f} s   of the same events, without decoding",
            f"  memory            {megabytes['memory']:8.1f} MB   {each['memory']:8.1f} MB per "
            "million entities",
            f"  stage  {result['stage']['from_snapshot_seconds']:6.2f} s   from its snapshot, and "
            f"{result['stage']['from_log_seconds']:.2f} s from its log of "
            f"{result['stage']['events']:,} events: {result['stage']['ratio']} times as long",
            f"  fork   {result['fork_milliseconds']:6.1f} ms  that a snapshot stops the stream for",
        ]
    )


if __name__ == "__main__":
    main()
