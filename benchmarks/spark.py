"""Features by Spark: are they those of one machine, and what does a second core bring?

The Fraud Detection Handbook's 1.75 million payments and its 15 features (``--quick``: the first
tenth). One process of its own for each way, each with compiled code that is there already: `weir
features` on this machine, then the same with ``--engine spark`` on ``local[1]`` and ``local[2]``.
The figure is the number of cells that differ, by a bit, between here and Spark; the target is 0.

``local[1]`` is one task at a time, and not one core: Java and its Python worker are two processes,
which overlap. So one task is measured twice: free to take all cores, and confined to one of them.
The ratios are of one run, each once with all that a session takes (starting Java takes seconds) and
once of the work alone.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.harness import DATA, arguments, report
from streams.spark.writing import parts_of

ROOT = Path(__file__).parents[1]
SETTINGS = ROOT / "examples" / "handbook" / "weir.toml"
QUICK_SHARE = 10
ONE_CORE, ONE_TASK, TWO_TASKS = "one core", "one task", "two tasks"


def cells_different(here: pa.Table, there: pa.Table) -> int:
    """How many cells differ by a bit; two that are missing do not. All, where rows are missing."""
    if here.num_rows != there.num_rows or not here.schema.equals(there.schema):
        return max(here.num_rows, there.num_rows) * here.num_columns
    count = 0
    for name in here.column_names:
        mine, other = (table[name].to_numpy() for table in (here, there))
        if mine.dtype.kind == "f":
            missing = np.isnan(mine) & np.isnan(other)
            mine, other = (column.view(f"i{column.itemsize}") for column in (mine, other))
            count += int(((mine != other) & ~missing).sum())
        else:
            count += int((mine != other).sum())
    return count


def timed(
    file: Path, out: Path, folder: Path, master: str | None, cores: set[int] | None = None
) -> dict[str, float]:
    """Seconds of `weir features`: all of them, and on Spark those of its stages.

    Args:
        cores: to which it is confined, with all that it starts; None for no bound.
    """
    log = folder / "events"
    log.mkdir(exist_ok=True)
    conf = {
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": log.as_uri(),
        "spark.eventLog.compress": "false",
        "spark.eventLog.rolling.enabled": "false",
    }
    command = [sys.executable, "-m", "weir", "features", str(file), "--out", str(out)]
    command += ["-c", str(SETTINGS), "--float32", "--json"]
    environment = {**os.environ, "WEIR_DATA_DIR": str(folder), "WEIR_SPARK__CONF": json.dumps(conf)}
    if master is not None:
        command += ["--engine", "spark"]
        environment["WEIR_SPARK__MASTER"] = master
    before = set(log.iterdir())
    start = perf_counter()
    if cores is not None:
        command = ["taskset", "--cpu-list", ",".join(map(str, sorted(cores))), *command]
    subprocess.run(command, check=True, env=environment, cwd=ROOT, stdout=subprocess.DEVNULL)
    seconds = {"all": perf_counter() - start}
    if master is not None:
        (events,) = set(log.iterdir()) - before
        seconds["work"] = _stages(events)
    return seconds


def _stages(log: Path) -> float:
    """Seconds from the first stage's beginning to the last one's end."""
    times = []
    for line in log.read_text(encoding="utf-8").splitlines():
        event = json.loads(line)
        if event["Event"] == "SparkListenerStageCompleted":
            stage = event["Stage Info"]
            times += [stage["Submission Time"], stage["Completion Time"]]
    return (max(times) - min(times)) / 1_000


def measure(source: Path, share: int, folder: Path) -> tuple[int, int, dict[str, Any]]:
    """Cells that differ, cells in all, and seconds by where it was computed."""
    file = folder / "transactions.parquet"
    table = pq.read_table(source)
    pq.write_table(table.slice(0, table.num_rows // share), file, row_group_size=200_000)
    seconds: dict[str, Any] = {}
    different = cells = 0
    timed(file, folder / "first.parquet", folder, None)  # compiles, where nobody has yet
    seconds["here"] = timed(file, folder / "here.parquet", folder, None)
    here = pq.read_table(folder / "here.parquet")
    one = {min(os.sched_getaffinity(0))}
    for name, master, cores in (
        (ONE_CORE, "local[1]", one),
        (ONE_TASK, "local[1]", None),
        (TWO_TASKS, "local[2]", None),
    ):
        out = folder / name.replace(" ", "-")
        seconds[name] = timed(file, out, folder, master, cores)
        there = pa.concat_tables(map(pq.read_table, parts_of(out)))
        different += cells_different(here, there)
        cells += here.num_rows * here.num_columns
    return different, cells, seconds


def main() -> None:
    """Measure and report."""
    args = arguments(
        __doc__ or "", data={"type": Path, "default": DATA / "handbook" / "transactions.parquet"}
    )
    with tempfile.TemporaryDirectory(prefix="weir-spark-") as folder:
        share = QUICK_SHARE if args.quick else 1
        different, cells, seconds = measure(args.data, share, Path(folder))
    two, here = seconds[TWO_TASKS], seconds["here"]
    ratios = {
        f"{name} against two tasks, {part}": seconds[name][part] / two[part]
        for name in (ONE_CORE, ONE_TASK)
        for part in ("work", "all")
    }
    ratios["two tasks against here, all"] = two["all"] / here["all"]
    lines = [f"{cells:,} cells of 15 features, id and time, compared by their bits"]
    lines += [f"  {place:<9} {each['all']:7.1f} s" for place, each in seconds.items()]
    lines += [f"  {name}: {ratio:.2f}" for name, ratio in ratios.items()]
    report(
        args,
        name="cells different",
        figure=different,
        unit="cells",
        target=0,
        met=different == 0,
        details={"cells": cells, "seconds": seconds, "ratios": ratios},
        text="\n".join(lines),
    )


if __name__ == "__main__":
    main()
