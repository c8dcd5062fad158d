"""What a model and a policy would have said of the events of an archive: a part for each file."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet
from deltalake import DeltaTable

from inference.backends.cpu import CpuEngine
from inference.engine.protocol import Engine
from inference.packages.package import ModelPackage
from inference.policy.policy import DECISIONS, Policy
from monitoring.archive.errors import ArchiveError
from monitoring.archive.table import ArchiveTable, said_plainly

_ROWS = 65_536
_TAKEN = ("event_id", "key", "event_time", "partition", "offset")


@dataclass(frozen=True)
class ArchiveScoring:
    """Scores the files of an archive's events, any of them by itself, on any machine.

    Attributes:
        url: of the table of events.
        options: how to reach it.
        version: of the table; what is archived meanwhile is not looked at.
        files: those of the features that the model reads, by their names in the table.
        package: the model.
        policy: that decides.
        out: a folder for the answers, which all machines share.
    """

    url: str
    options: dict[str, str]
    version: int
    files: tuple[str, ...]
    package: ModelPackage
    policy: Policy
    out: Path

    def score_file(self, number: int) -> dict[str, int]:
        """Score one of the files, and say how many events got which decision.

        Raises:
            ArchiveAwayError: the store does not answer.
            OSError: the answers can't be written.
        """
        wanted = self.files[number]
        dataset = said_plainly(self.url, lambda: _opened(self).to_pyarrow_dataset())
        (fragment,) = (each for each in dataset.get_fragments() if each.path == wanted)
        counts: dict[str, int] = dict.fromkeys(DECISIONS, 0)
        target = self.out / f"part-{number:05d}.parquet"
        half = target.with_suffix(f".{os.getpid()}.half")
        writer = None
        try:
            for answers in self._answers(dataset.schema, fragment):
                writer = writer or pyarrow.parquet.ParquetWriter(
                    half, answers.schema, compression="zstd"
                )
                writer.write_table(answers)
                for each in answers["decision"].value_counts().to_pylist():
                    counts[each["values"]] += each["counts"]
        finally:
            if writer is not None:
                writer.close()
        if writer is not None:
            os.replace(half, target)
        return counts

    def _answers(self, schema: Any, fragment: Any) -> Iterator[Any]:
        engine, names = _engine(self.package), self.package.features.names
        columns = [*_TAKEN, "features"]
        for batch in fragment.to_batches(columns=columns, schema=schema, batch_size=_ROWS):
            if not batch.num_rows:
                continue
            vector = batch.column("features")
            matrix = np.empty((batch.num_rows, len(names)), np.float32)
            for place, name in enumerate(names):
                matrix[:, place] = vector.field(name).to_numpy(zero_copy_only=False)
            outputs = engine.infer(matrix)
            codes = self.policy.decide(outputs)
            said = {name: pa.array(column) for name, column in outputs._asdict().items()}
            decisions = pa.DictionaryArray.from_arrays(pa.array(codes), list(DECISIONS))
            yield pa.table(
                {name: batch.column(name) for name in _TAKEN}
                | said
                | {
                    "decision": decisions.cast(pa.string()),
                    "model": pa.repeat(self.package.short_id, batch.num_rows),
                    "policy": pa.repeat(self.policy.version, batch.num_rows),
                }
            )


def plan_scoring(
    table: ArchiveTable, options: dict[str, str], package: ModelPackage, policy: Policy, out: Path
) -> ArchiveScoring:
    """Find the files of the features that a model reads.

    Raises:
        ArchiveError: nothing was archived, or nothing with these features.
        ArchiveAwayError: the store does not answer.
    """
    found = table.newest()
    if found is None:
        raise ArchiveError(f"there is no archive at {table.url} yet: `weir archive` begins one")
    schema = package.features.schema_hash
    dataset = said_plainly(table.url, found.to_pyarrow_dataset)
    wanted = ds.field("feature_schema") == schema
    files = sorted(each.path for each in dataset.get_fragments(filter=wanted))
    if not files:
        raise ArchiveError(
            f"{table.url} has no event with the features of model {package.short_id} "
            f"(schema {schema[:12]}): choose a model of other features by --model"
        )
    return ArchiveScoring(
        table.url, dict(options), found.version(), tuple(files), package, policy, out
    )


def _opened(job: ArchiveScoring) -> DeltaTable:
    return DeltaTable(job.url, version=job.version, storage_options=job.options)


_engines: dict[str, Engine] = {}


def _engine(package: ModelPackage) -> Engine:
    """The model's engine, opened once in a process.

    It is not warmed up: the whole graph answers, and not what is fastest on this machine, so that
    all machines give the same bits.
    """
    if package.id not in _engines:
        _engines[package.id] = CpuEngine(package)
    return _engines[package.id]
