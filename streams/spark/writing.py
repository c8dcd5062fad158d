"""Parts of a table, each a span of event time, written by executors in the order that counts."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from streams.base.errors import WeirError
from streams.features.feature_table import FeatureTable, said_of
from streams.spark.columns import (
    APPROXIMATE,
    LABEL,
    LATE,
    TIME,
    array_of,
    feature_column,
    field_column,
    in_order,
)
from streams.spark.windows import EntityFeatures

PART = "part"
_PATTERN = "part-*.parquet"


class FolderTakenError(WeirError):
    """A folder is in the way that holds something else; the message names it."""


@dataclass(frozen=True)
class PartWriter:
    """Writes one part at a time.

    Attributes:
        folder: for the parts.
        table: what they hold.
        alone: features of the event itself, which are computed here; None where there are none.
        also: fields of the events that are written, too; see `also_column`.
    """

    folder: Path
    table: FeatureTable
    alone: EntityFeatures | None
    also: tuple[str, ...] = ()

    schema: ClassVar[str] = "rows bigint, late bigint, approximate bigint"

    def write(self, part: Any) -> Any:
        """Write a part, and say how many rows it has, and of which kinds.

        Args:
            part: its events with the features of all entities, in any order.
        """
        plan, contract = self.table.plan, self.table.contract
        number = part[PART][0].as_py()
        part = in_order(contract, part)
        if self.alone is not None:
            part = self.alone.append_to(part)
        matrix = np.empty((part.num_rows, len(plan.names)))
        for place in range(len(plan.names)):
            matrix[:, place] = array_of(part, feature_column(place), "float").to_numpy()
        late, approximate = (
            int(np.count_nonzero(part[name].to_numpy())) for name in (LATE, APPROXIMATE)
        )
        id_kind = contract.fields[contract.id].type
        rows = self.table.rows(
            array_of(part, field_column(contract, contract.id), id_kind),
            array_of(part, TIME, "int").to_numpy(),
            matrix,
            part[LABEL].combine_chunks().to_numpy(),
        )
        for name in self.also:
            values = array_of(part, field_column(contract, name), contract.fields[name].type)
            rows = rows.append_column(also_column(name), values)
        self._write(number, rows, said_of(late, approximate))
        return pa.table({"rows": [part.num_rows], "late": [late], "approximate": [approximate]})

    def _write(self, number: int, rows: Any, said: dict[str, str]) -> None:
        target = self.folder / f"part-{number:05d}.parquet"
        half = target.with_suffix(f".{os.getpid()}.half")
        with pyarrow.parquet.ParquetWriter(half, rows.schema, compression="zstd") as writer:
            writer.write_table(rows)
            writer.add_key_value_metadata(said)
        os.replace(half, target)


def also_column(field: str) -> str:
    """The column of a field that is written beside the features, one of which may be called so."""
    return f"weir.{field}"


def publish(parts: Path, out: Path) -> None:
    """Put a folder of parts in the place of what was written there before.

    Raises:
        FolderTakenError: there is something else.
    """
    check_place(out)
    if out.is_dir():
        shutil.rmtree(out)
    else:
        out.unlink(missing_ok=True)
    for half in parts.glob("*.half"):  # of an attempt that Spark gave up
        half.unlink()
    parts.rename(out)


def check_place(out: Path) -> None:
    """Refuse to write over what is no output of ours.

    Raises:
        FolderTakenError: it is a folder that holds something else than parts.
    """
    if out.is_dir():
        strange = sorted(each.name for each in out.iterdir() if not each.match(_PATTERN))
        if strange:
            raise FolderTakenError(
                f"{out}: is a folder that holds {strange[0]!r}, which Weir has not written: "
                "name another one by --out"
            )


def parts_of(folder: Path) -> list[Path]:
    """The parts of a folder, in order."""
    return sorted(folder.glob(_PATTERN))
