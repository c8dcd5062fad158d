"""A file that names events by their ids."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from streams.events.contract import EventContract
from streams.files.event_file import EventFileError

_TYPES = {"int": pa.int64(), "string": pa.string()}


def read_ids(path: Path, contract: EventContract) -> list[Any]:
    """The first column of a CSV or Parquet file, as ids of the contract's type.

    Raises:
        EventFileError: the file can't be read, or its first column holds something else.
    """
    try:
        if ".csv" in [suffix.lower() for suffix in path.suffixes[-2:]]:
            table = pyarrow.csv.read_csv(path)
        else:
            table = pyarrow.parquet.read_table(path)
        ids: list[Any] = table.column(0).cast(_TYPES[contract.fields[contract.id].type]).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise EventFileError(f"{path}: can't be read as a list of event ids: {error}") from error
    if None in ids:
        raise EventFileError(f"{path}: row {ids.index(None) + 1} has no id: remove it")
    return ids
