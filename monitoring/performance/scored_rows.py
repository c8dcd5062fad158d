"""Answers as rows: from a table of the feature log to what is kept of each event."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from inference.policy.policy import CODES
from inference.shadow.comparison.rows import would_be
from inference.shadow.event_hash import id_hashes
from monitoring.performance.cohorts.cohort import Group
from monitoring.performance.cohorts.truth import ROW
from streams.feature_log import approve_through_of

_MOST_AMOUNT = 2.0**64
_NO_TIME = 10**14
"""What is this or more, in ms, is no time: no calendar has its day."""


def scored_rows(
    table: pa.Table, amount: str | None, code_of: Callable[[Group], int]
) -> NDArray[np.void]:
    """The n answers of a table as rows of `ROW`, (n,).

    Args:
        table: see `streams.feature_log.read_feature_log`.
        amount: the field that says what is at stake; None for none.
        code_of: the code of a group in rows.

    Raises:
        ValueError, KeyError: the table lacks a column, or has a decision or time that is none.
    """
    rows = np.zeros(table.num_rows, ROW)
    rows["hash"] = id_hashes(table["event_id"].to_pylist())
    rows["time"] = table["event_time"].cast(pa.int64()).to_numpy()
    if (np.abs(rows["time"]) >= _NO_TIME).any():
        raise ValueError("an event's time is beyond all calendars")
    probability = table["probability"].to_numpy()
    rows["probability"] = np.where((probability >= 0) & (probability <= 1), probability, np.nan)
    rows["amount"] = _amounts(table, amount)
    decided = would_be(
        _coded(table["decision"], CODES.__getitem__).astype(np.int8), approve_through_of(table)
    )
    rows["decision"], rows["let_through"] = decided.champion, decided.let_through
    rows["group"] = _coded(table["model"], lambda model: code_of(Group(model)))
    return rows


def _coded(column: pa.ChunkedArray, code: Callable[[str], int]) -> NDArray[np.int64]:
    """Codes of a column that is a dictionary of texts, (n,)."""
    parts = [np.empty(0, np.int64)]
    for chunk in column.chunks:
        indices = chunk.indices.to_numpy()
        used = np.unique(indices).tolist()
        codes = np.zeros(max(used, default=-1) + 1, np.int64)
        codes[used] = [code(chunk.dictionary[each].as_py()) for each in used]
        parts.append(codes[indices])
    return np.concatenate(parts)


def _amounts(table: pa.Table, field: str | None) -> NDArray[np.float64]:
    """The numbers in a field of the context, ``NaN`` where there is none, or beyond all money."""
    column = table["context"]
    if field is None or column.type.get_field_index(field) < 0:
        return np.full(table.num_rows, np.nan)
    values = pc.struct_field(column, field)
    if not (pa.types.is_integer(values.type) or pa.types.is_floating(values.type)):
        return np.full(table.num_rows, np.nan)
    found = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return np.where(np.abs(found) <= _MOST_AMOUNT, found, np.nan)
