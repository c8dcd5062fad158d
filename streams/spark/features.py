"""Features of a file of events by Spark: the cells of one machine, and no event in the driver.

1. Executors read the file split by split, by the rules of the stream, and lay it down in a staging
   folder. The driver hears how many rows are events, and a few event times.
2. For each entity, events are spread over buckets by its value, and each bucket goes through the
   compiled kernels in the order of time. Features travel on with their events to the next entity.
3. Events are spread by time over parts, and each part is written in order: one file after
   another, they are in the order of what one machine writes.
"""

import math
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from streams.base.clock import now_ms as wall_clock_ms
from streams.features.feature_table import FeatureTable, metadata_of
from streams.features.plan import FeaturePlan, check_label_delays
from streams.features.window_settings import WindowSettings
from streams.files.columns import UNLABELLED
from streams.files.row_checks import RejectedRows
from streams.spark.columns import (
    FLAGS,
    LABEL,
    ROW,
    TIME,
    event_schema,
    feature_schema,
    field_column,
)
from streams.spark.reading import (
    Reading,
    SplitSummary,
    plan_reading,
    rejected_of,
    sha256_of,
    splits_of,
    stage_split,
)
from streams.spark.windows import GHOST, EntityFeatures, new_events, split_by_entity
from streams.spark.writing import PART, PartWriter, publish

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

Step = Callable[[str], None]
"""Called with what is done from now on."""

_ROWS_PER_BUCKET = 250_000
_BUCKET = "bucket"
_PATTERN_SIGNS = re.compile(r"([\[\]{}*?\\])")


@dataclass(frozen=True)
class Wanted:
    """Which features are asked for, of which events.

    Attributes:
        plan: all features.
        label_field: the label column; None where the file has none.
        label_delay_ms: how long after its event a label becomes known.
        start_ms, stop_ms: event times that are written, UTC milliseconds, the last left out.
        with_labels: write the label column, and events with a label only.
        as_served: features as float32, which is what a model gets; else float64.
        also: fields that are written, too; see `streams.spark.writing.also_column`.
        buckets: of entities; 0 for as many as the events and the cores ask for.
        compiled: where compiled code is kept, as `compiled_code.keep_in` has it.
    """

    plan: FeaturePlan
    label_field: str | None
    label_delay_ms: int
    windows: WindowSettings
    compiled: Path
    start_ms: int | None = None
    stop_ms: int | None = None
    with_labels: bool = False
    as_served: bool = False
    also: tuple[str, ...] = ()
    buckets: int = 0


@dataclass(frozen=True)
class Written:
    """What was written.

    Attributes:
        rows: how many events.
        late, approximate: how many of them are; see `FeatureRows`.
        events: how many the file has.
        repeats: how many more it has that were left out as repeats.
        rejected: rows that are no events.
        sha256: of the file's bytes, hex.
    """

    rows: int
    late: int
    approximate: int
    events: int
    repeats: int
    rejected: tuple[RejectedRows, ...]
    sha256: str

    @property
    def rows_rejected(self) -> int:
        """How many rows are no events."""
        return sum(each.count for each in self.rejected)


def write_features(
    spark: "SparkSession", path: Path, out: Path, wanted: Wanted, step: Step = lambda _: None
) -> Written:
    """Write features to a folder of Parquet files, in order; what was there before is replaced.

    Where there is no row to write, the folder is as it was.

    File and folder have to be the same on all machines, such as on a shared disk.

    Raises:
        ValueError: features and file do not fit; the message says why.
        OSError: the folder can't be written.
    """
    plan = wanted.plan
    check_label_delays(plan, wanted.label_delay_ms)
    label_field = wanted.label_field if wanted.with_labels or plan.reads_labels else None
    shown = wanted.label_field if wanted.with_labels else None
    FeatureTable(plan, shown, wanted.as_served, {}).check_names()
    out = out.absolute()
    staging = Path(tempfile.mkdtemp(prefix=f"{out.name}.half-", dir=out.parent))
    try:
        step("reading events")
        reading = plan_reading(
            path, plan.contract, label_field, wall_clock_ms(), staging, wanted.compiled
        )
        summaries = _staged(spark, reading)
        rejected = rejected_of(reading, summaries)
        sha256 = _sha256(spark, reading.path)
        pipeline = _Pipeline(spark, wanted, sum(each.events for each in summaries))
        frame = _read(spark, plan, staging)
        frame, repeats = pipeline.without_repeats(frame, staging, step)
        step("computing features")
        table = FeatureTable(
            plan, shown, wanted.as_served, metadata_of(plan, sha256, wanted.label_delay_ms)
        )
        rows, late, approximate = pipeline.written(frame, table, staging / "parts", summaries)
        if rows:
            publish(staging / "parts", out)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return Written(rows, late, approximate, pipeline.events - repeats, repeats, rejected, sha256)


class _Pipeline:
    def __init__(self, spark: "SparkSession", wanted: Wanted, events: int) -> None:
        self._spark = spark
        self._wanted = wanted
        self._plan = wanted.plan
        self.events = events
        cores = spark.sparkContext.defaultParallelism
        self._buckets = wanted.buckets or max(2 * cores, math.ceil(events / _ROWS_PER_BUCKET))
        spark.conf.set("spark.sql.shuffle.partitions", str(self._buckets))

    def without_repeats(
        self, frame: "DataFrame", staging: Path, step: Step
    ) -> "tuple[DataFrame, int]":
        """Events without repeats, and how many were left out."""
        contract, plan = self._plan.contract, self._plan
        if contract.deduplicate is None:
            return frame, 0
        step("leaving out repeats")
        (
            self._spread(frame, field_column(contract, contract.id))
            .groupBy(_BUCKET)
            .applyInArrow(
                lambda table: new_events(plan, table.drop_columns(_BUCKET)), event_schema(contract)
            )
            .write.parquet(str(staging / "new"))
        )
        new = _read(self._spark, plan, staging / "new")
        return new, self.events - new.count()

    def written(
        self, frame: "DataFrame", table: FeatureTable, folder: Path, summaries: list[SplitSummary]
    ) -> tuple[int, int, int]:
        """Write the features; return how many rows, and how many late and approximate ones."""
        from pyspark.sql import functions as F  # noqa: N812

        wanted = self._wanted
        if wanted.stop_ms is not None:
            frame = frame.where(F.col(TIME) < wanted.stop_ms)
        entities, alone = split_by_entity(
            self._plan, wanted.label_delay_ms, wanted.windows, wanted.compiled
        )
        schema = event_schema(self._plan.contract)
        ids = field_column(self._plan.contract, self._plan.contract.id)
        twice = frame.groupBy(ids).count().where(F.col("count") > 1)
        ghosts = self._plan.reads_labels and not twice.isEmpty()
        frame = frame.withColumns({name.split(" ")[0]: F.lit(False) for name in FLAGS.split(", ")})
        schema = f"{schema}, {FLAGS}"
        for entity in entities:
            schema = f"{schema}, {feature_schema(entity.places)}"
            frame = self._windows(frame, entity, schema, ghosts)
        if wanted.start_ms is not None:
            frame = frame.where(F.col(TIME) >= wanted.start_ms)
        if wanted.with_labels:
            frame = frame.where(F.col(LABEL) != UNLABELLED)
        folder.mkdir()
        bounds = _bounds(summaries, self._buckets, wanted.start_ms, wanted.stop_ms)
        writer = PartWriter(folder, table, alone, wanted.also)
        parts = F.array(*map(F.lit, bounds)) if bounds else F.array().cast("array<bigint>")
        frame = frame.withColumn(PART, F.size(F.filter(parts, lambda bound: F.col(TIME) >= bound)))
        found = (
            frame.groupBy(PART)
            .applyInArrow(lambda part: writer.write(part), PartWriter.schema)
            .collect()  # a line for each part
        )
        rows, late, approximate = (
            sum(each[name] for each in found) for name in ("rows", "late", "approximate")
        )
        return rows, late, approximate

    def _windows(
        self, frame: "DataFrame", entity: EntityFeatures, schema: str, ghosts: bool
    ) -> "DataFrame":
        """Events with the features of one entity; with ghosts where ids are there twice."""
        contract = self._plan.contract
        frame = self._spread(frame, field_column(contract, entity.entity))
        if ghosts and entity.plan.reads_labels:
            frame = self._with_ghosts(frame)
        names = [each.split(" ")[0] for each in schema.split(", ")]
        return frame.groupBy(_BUCKET).applyInArrow(
            lambda table: entity.append_to(table).select(names), schema
        )

    def _spread(self, frame: "DataFrame", column: str) -> "DataFrame":
        """Give each row its bucket; those without a value belong together with no other."""
        from pyspark.sql import functions as F  # noqa: N812

        by = F.when(F.col(column).isNull(), F.hash(ROW)).otherwise(F.hash(column))
        return frame.withColumn(_BUCKET, F.pmod(by, F.lit(self._buckets)))

    def _with_ghosts(self, frame: "DataFrame") -> "DataFrame":
        """With what other buckets have of the same ids; see `windows.GHOST`."""
        from pyspark.sql import functions as F  # noqa: N812

        name = field_column(self._plan.contract, self._plan.contract.id)
        shared = frame.groupBy(name).agg(F.collect_set(_BUCKET).alias("buckets"))
        shared = shared.where(F.size("buckets") > 1)
        ghosts = (
            frame.join(shared, name)
            .withColumn("other", F.explode("buckets"))
            .where(F.col("other") != F.col(_BUCKET))
            .withColumn(_BUCKET, F.col("other"))
            .withColumn(GHOST, F.lit(True))
        )
        frame = frame.withColumn(GHOST, F.lit(False))
        return frame.unionByName(ghosts.select(frame.columns))


def _read(spark: "SparkSession", plan: FeaturePlan, folder: Path) -> "DataFrame":
    """The events in a folder, whose name is no pattern, whatever it holds."""
    name = _PATTERN_SIGNS.sub(r"\\\1", str(folder))
    return spark.read.schema(event_schema(plan.contract)).parquet(name)


def _staged(spark: "SparkSession", reading: Reading) -> list[SplitSummary]:
    splits = splits_of(reading)
    if not splits:
        return []
    found: list[SplitSummary] = (
        spark.sparkContext.parallelize(splits, len(splits))
        .map(lambda split: stage_split(reading, split))
        .collect()  # a line for each split
    )
    return found


def _sha256(spark: "SparkSession", path: Path) -> str:
    found: list[str] = spark.sparkContext.parallelize([path], 1).map(sha256_of).collect()
    return found[0]


def _bounds(
    summaries: list[SplitSummary], parts: int, start: int | None, stop: int | None
) -> list[int]:
    """Event times at which a part ends and the next begins, all parts of about one size."""
    times: NDArray[Any] = np.sort(np.concatenate([each.times for each in summaries]))
    low = 0 if start is None else int(np.searchsorted(times, start))
    high = len(times) if stop is None else int(np.searchsorted(times, stop))
    chosen = times[low:high]
    if not chosen.size:
        return []
    at = np.linspace(0, chosen.size, parts + 1).astype(np.int64)[1:-1]
    return sorted({int(each) for each in chosen[at]})
