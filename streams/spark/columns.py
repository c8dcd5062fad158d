"""How events travel through Spark: by columns that have our names, and not the users'.

Spark takes ``Amount`` and ``amount`` for one column, and a dot in a name for a struct. So fields
are ``c0``, ``c1``, ... and features ``x0``, ``x1``, ...
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from streams.events.contract import EventContract
from streams.files.arrow_batch import ColumnBatch
from streams.files.event_file import EventFile, event_order

_ARROW = {"int": pa.int64(), "float": pa.float64(), "bool": pa.bool_(), "string": pa.large_string()}
_SPARK = {"int": "bigint", "float": "double", "bool": "boolean", "string": "string"}

ROW, TIME, LABEL, LATE, APPROXIMATE = "row", "time", "label", "late", "approximate"
"""Place in the file, event time in UTC milliseconds, and so on."""
FLAGS = f"{LATE} boolean, {APPROXIMATE} boolean"


def field_column(contract: EventContract, name: str) -> str:
    """What the column of a field is called."""
    return f"c{list(contract.fields).index(name)}"


def feature_column(place: int) -> str:
    """What the column of a feature is called, by its place in the vector."""
    return f"x{place}"


def event_schema(contract: EventContract) -> str:
    """The columns of events, as Spark's DDL."""
    fields = [
        f"c{place} {_SPARK[each.type]}" for place, each in enumerate(contract.fields.values())
    ]
    return ", ".join([f"{ROW} bigint", f"{TIME} bigint", *fields, f"{LABEL} tinyint"])


def feature_schema(places: Iterable[int]) -> str:
    """The columns of features, as Spark's DDL."""
    return ", ".join(f"{feature_column(place)} double" for place in places)


def event_table(
    contract: EventContract,
    rows: NDArray[np.int64],
    times: NDArray[np.int64],
    columns: dict[str, Any],
    labels: NDArray[np.int8],
) -> Any:
    """A table of events."""
    fields = {field_column(contract, name): columns[name] for name in contract.fields}
    return pa.table({ROW: rows, TIME: times, **fields, LABEL: labels})


def in_order(contract: EventContract, table: Any) -> Any:
    """Events in the order in which they count: by time, then by id, then by their place."""
    table = table.combine_chunks().sort_by(ROW)
    ids = array_of(table, field_column(contract, contract.id), contract.fields[contract.id].type)
    order = event_order(array_of(table, TIME, "int").to_numpy(), ids)
    return table if order is None else table.take(pa.array(order))


def array_of(table: Any, column: str, kind: str) -> Any:
    """A column as one array of the type that events have."""
    return table[column].cast(_ARROW[kind]).combine_chunks()


def events_of(contract: EventContract, table: Any, label_field: str | None) -> EventFile:
    """A table that is in order, as features are computed from it."""
    columns = {
        name: array_of(table, field_column(contract, name), field.type)
        for name, field in contract.fields.items()
    }
    times = table[TIME].combine_chunks().to_numpy()
    return EventFile(
        path=Path("a part of the events"),
        sha256="",
        contract=contract,
        events=ColumnBatch(contract, times, columns),
        labels=table[LABEL].combine_chunks().to_numpy(),
        label_field=label_field,
        rejected=(),
        absent=(),
        repeats=0,
    )
