"""Training rows whose features Spark computes; the model is fitted here."""

import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from inference.packages.data_version import DataVersion
from inference.training.training_set import TrainingError, TrainingSet
from streams.spark.features import Wanted, write_features
from streams.spark.writing import also_column, parts_of
from weir.cli.rejected_rows import report_left_out
from weir.config.settings import Settings
from weir.spark.session import spark_session
from weir.training.declared import declared_stake
from weir.training.registering import Progress, key_codes


def training_set_by_spark(
    settings: Settings, path: Path, start_ms: int | None, stop_ms: int | None, progress: Progress
) -> TrainingSet:
    """What `training_set` returns of the same file, bit for bit.

    Executors write the vectors of labelled events to a folder in ``data_dir``, which all machines
    have to share. From there they are read part by part: what this process holds is the matrix that
    the model is fitted on, 4 bytes a feature, and whose each event is and what is at stake, but
    never an event.

    Raises:
        TrainingError: no event of the span has a label.
        ValueError: features and file do not fit.
        SparkUnavailableError, SparkFailedError: see `spark_session`.
    """
    plan, label = settings.plan(), settings.labels.field
    key, stake = settings.event.key, declared_stake(settings)
    wanted = Wanted(
        plan=plan,
        label_field=label,
        label_delay_ms=settings.labels.delay,
        windows=settings.windows,
        compiled=settings.compiled_dir,
        start_ms=start_ms,
        stop_ms=stop_ms,
        with_labels=True,
        as_served=True,
        also=(key,) if stake in (None, key) else (key, stake),
        buckets=settings.spark.buckets,
    )
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="spark-rows-", dir=settings.data_dir) as folder:
        out = Path(folder).absolute() / "rows"
        with spark_session(settings.spark, settings.data_dir, progress) as run:
            written = write_features(run.session, path, out, wanted, run.step)
        report_left_out(path, written.rejected, written.repeats)
        if not written.rows:
            raise TrainingError(f"{path}: no event of this span has a label: ask for a longer one")
        matrix = np.empty((written.rows, len(plan.names)), np.float32)
        labels, times = np.empty(written.rows, np.int8), np.empty(written.rows, np.int64)
        stakes = None if stake is None else np.empty(written.rows, np.float64)
        done, keys = 0, []
        for part in parts_of(out):
            table = pq.read_table(part, memory_map=True)
            here = slice(done, done + table.num_rows)
            for place, name in enumerate(plan.names):
                matrix[here, place] = table[name].to_numpy()
            labels[here] = table[label].to_numpy()
            times[here] = table[settings.event.time].cast("int64").to_numpy()
            keys += table[also_column(key)].chunks
            if stake is not None and stakes is not None:
                column = table[also_column(stake)].cast(pa.float64())
                stakes[here] = column.to_numpy()
            done = here.stop
    return TrainingSet(
        matrix=matrix,
        labels=labels,
        times=times,
        feature_names=plan.names,
        feature_definitions=plan.schema(),
        feature_schema_hash=plan.schema_hash,
        data_sha256=written.sha256,
        keys=key_codes(pa.chunked_array(keys).dictionary_encode().combine_chunks()),
        stakes=stakes,
        version=DataVersion(
            files={"events": written.sha256},
            start=start_ms,
            stop=stop_ms,
            label_delay=settings.labels.delay,
        ),
    )
