"""A file that names events by their ids."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from streams.events.contract import EventContract, Field
from streams.events.field_checks import read_field
from streams.events.values import BadValueError, is_written_number
from streams.files.cells import cell
from streams.files.event_file import EventFileError, is_csv, read_text


def read_ids(path: Path, contract: EventContract) -> list[Any]:
    """The first column of a CSV or Parquet file, as ids of the contract's type.

    They are read as an event's id is. The first line of a CSV is a header if it has the name of
    the contract's id field, ``id`` or ``event_id``; where ids are integers, if it is no number.

    Raises:
        EventFileError: the file can't be read, an id is none, or there is no telling whether the
            first line is a header.
    """
    field = contract.fields[contract.id]
    try:
        if is_csv(path):
            table = read_text(path, ["f0"], header=False)
            cells = table.column(0).to_pylist()
            first = _header_lines(cells[0], contract.id, field)
        else:
            column = pyarrow.parquet.read_table(path).column(0)
            cells = [cell(column, row) for row in range(len(column))]
            first = 0
    except (OSError, ValueError, IndexError, pa.ArrowException) as error:
        raise EventFileError(f"{path}: can't be read as a list of event ids: {error}") from error
    ids = []
    for row, value in enumerate(cells[first:], start=1):
        if value is None:
            raise EventFileError(f"{path}: row {row} has no id: remove it")
        try:
            ids.append(read_field(field, value))
        except BadValueError as error:
            raise EventFileError(f"{path}: row {row}: the id {error.said}") from error
    return ids


def _header_lines(first: str | None, name: str, field: Field) -> int:
    if first in (name, "id", "event_id"):
        return 1
    if field.type == "string":
        raise ValueError(
            f"its first line is {first!r}, which may be a header or an id: "
            f"put a first line {name!r} above the ids"
        )
    return 0 if first is None or is_written_number(first) else 1
