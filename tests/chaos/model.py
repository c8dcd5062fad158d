"""The campaign's model: trained once, with `weir train`, on a file of the same kind of world."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.chaos.world import Habits, World

_TICKS, _PER_TICK = 40, 500
_LARGE = 150.0


def train(config: Path, folder: Path, seed: int) -> None:
    """Train and register the champion.

    Raises:
        RuntimeError: `weir train` failed; with its last words.
    """
    world = World(seed, _TICKS * _PER_TICK)
    habits = Habits(late=0.0, too_late=0.0, twice=0.0, malformed=0.0)
    bodies = [
        json.loads(record.value or b"")
        for _ in range(_TICKS)
        for record in world.tick(_PER_TICK, habits).events
    ]
    # Large payments are risky, so that there is something to be learned.
    large = np.array([body["amount"] for body in bodies]) > _LARGE
    fraud = np.random.default_rng([seed, 2]).random(len(bodies)) < np.where(large, 0.3, 0.01)
    columns = {name: [body.get(name) for body in bodies]
               for name in ("id", "card", "terminal", "amount", "device")}  # fmt: skip
    times = pa.array([body["at"] for body in bodies]).cast(pa.timestamp("ms", "UTC"))
    table = pa.table(columns | {"at": times, "is_fraud": fraud.astype(np.int8)})
    path = folder / "training.parquet"
    pq.write_table(table, path)
    command = [sys.executable, "-m", "weir", "train", "--data", str(path), "-c", str(config)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"weir train failed: {done.stderr[-2_000:]}")
