"""Cells of Arrow columns: those that are plain at once, and the others one by one."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from streams.events.rejection import Reason
from streams.events.values import EXACT, EXACT_SINGLE, BadValueError, Single
from streams.files.row_checks import RowChecks

_PLAIN_INT = r"^-?(?:[0-9]{1,18}|[1-8][0-9]{18})$"
"""The form in which Arrow reads what `integer` does."""


def plain_integers(array: Any) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Whole numbers that are exact at a glance, 0 elsewhere; and which rows hold something else."""
    kind = array.type
    if pa.types.is_integer(kind):
        whole = array.cast(pa.int64(), safe=False).fill_null(0).to_numpy().copy()
        beyond = pa.types.is_uint64(kind)
        return whole, (whole < 0) if beyond else np.zeros(len(array), np.bool_)
    if pa.types.is_floating(kind):
        doubles = array.cast(pa.float64()).fill_null(0.0).to_numpy()
        limit = EXACT if pa.types.is_float64(kind) else EXACT_SINGLE
        exact = (np.abs(doubles) < limit) & (doubles == np.floor(doubles))
        return np.where(exact, doubles, 0.0).astype(np.int64), ~exact
    text = pc.replace_substring_regex(array.cast(pa.large_string()), r"\.0*$", "")
    usual = pc.match_substring_regex(text, _PLAIN_INT)
    values = pc.if_else(usual, text, None).cast(pa.int64()).fill_null(0).to_numpy().copy()
    return values, ~mask(usual) & ~is_null(array)


def one_by_one(
    name: str,
    array: Any,
    left: NDArray[np.bool_],
    read: Callable[[Any], Any],
    values: NDArray[Any],
    checks: RowChecks,
) -> None:
    """Read the cells of the rows that are left into `values`; what is none is rejected."""
    wrong: dict[Reason, list[int]] = {}
    for row in np.flatnonzero(left).tolist():
        try:
            values[row] = read(cell(array, row))
        except BadValueError as error:
            wrong.setdefault(error.reason, []).append(row)
    for reason, rows in wrong.items():
        those = np.zeros(len(array), np.bool_)
        those[rows] = True
        checks.reject(those, reason, name)


def cell(array: Any, row: int) -> Any:
    """One cell as the functions that read records want it."""
    value = array[row].as_py()
    single = value is not None and pa.types.is_float32(array.type)
    return Single(value) if single else value


def distinct(array: Any) -> tuple[list[Any], NDArray[np.int64]]:
    """The values there are, and for each row which one it holds; -1 for null."""
    encoded = array.dictionary_encode()
    places: NDArray[np.int64] = encoded.indices.cast(pa.int64()).fill_null(-1).to_numpy()
    return encoded.dictionary.to_pylist(), places


def plain(column: Any, name: str) -> Any:
    """One array of a plain type; text as large_string, which has no limit of 2 GB."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
        column = column.cast(kind)
    if pa.types.is_string(kind) or pa.types.is_string_view(kind):
        column = column.cast(pa.large_string())
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if pa.types.is_large_string(array.type):
        try:
            array.validate(full=True)
        except pa.ArrowException as error:
            raise ValueError(f"column {name!r} holds text that is no UTF-8: {error}") from error
    return array


def is_number(kind: Any) -> bool:
    """Whether an Arrow type is one of numbers. Those of 16 bits hold hardly any amount or id."""
    each = pa.types
    if each.is_float16(kind):
        return False
    return bool(each.is_integer(kind) or each.is_floating(kind) or each.is_decimal(kind))


def is_null(array: Any) -> NDArray[np.bool_]:
    """Which rows hold nothing, shape (n,)."""
    return mask(array.is_null())


def mask(array: Any) -> NDArray[np.bool_]:
    """A boolean array as numpy has it; null is false."""
    found: NDArray[np.bool_] = array.fill_null(False).to_numpy(zero_copy_only=False)
    return found
