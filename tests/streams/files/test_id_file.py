"""A file of ids gives them as a file of events does."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from streams.events.contract import EventContract, Field
from streams.files.event_file import EventFileError
from streams.files.id_file import read_ids


def contract(kind: Any) -> EventContract:
    return EventContract(
        id="tx", time="at", key="card", fields={"tx": Field(type=kind), "card": Field(type="int")}
    )


@pytest.mark.parametrize("header", ["tx", "id", "event_id", '"tx",more'])
def test_text_ids_stay_as_they_are(tmp_path: Path, header: str) -> None:
    path = tmp_path / "ids.csv"
    path.write_text(f"{header}\n00123{',7' * (',' in header)}\n", encoding="utf-8-sig")
    assert read_ids(path, contract("string")) == ["00123"]
    path.write_text("tx\n1e5\n1.10\ntrue\nNaN\n2026-01-01\n")
    assert read_ids(path, contract("string")) == ["1e5", "1.10", "true", "NaN", "2026-01-01"]


def test_integer_ids_are_exact_and_the_first_line_is_none_lost(tmp_path: Path) -> None:
    path = tmp_path / "ids.csv"
    for header in ("", "tx\n", "whatever\n"):
        path.write_text(header + "4873214862074861313\n9007199254740993.0\n")
        assert read_ids(path, contract("int")) == [4873214862074861313, 9007199254740993]


def test_a_header_that_may_be_an_id_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ids.csv"
    path.write_text("A17\nA18\n")
    with pytest.raises(EventFileError, match="put a first line 'tx' above the ids"):
        read_ids(path, contract("string"))


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ("1.23E+18\n", r"row 1: the id = '1.23E\+18' may have lost digits"),
        ("1\n\n2,\n", "Expected 1 columns"),
        ("", "Empty CSV"),
    ],
)
def test_what_is_no_id_is_named(tmp_path: Path, cells: str, message: str) -> None:
    path = tmp_path / "ids.csv"
    path.write_text(cells)
    with pytest.raises(EventFileError, match=message) as error:
        read_ids(path, contract("int"))
    assert str(error.value).startswith(f"{path}: ")


def test_parquet(tmp_path: Path) -> None:
    path = tmp_path / "ids.parquet"
    pq.write_table(pa.table({"x": pa.array(["7", None])}), path)
    with pytest.raises(EventFileError, match="row 2 has no id"):
        read_ids(path, contract("int"))
    pq.write_table(pa.table({"x": pa.array([2.0**60])}), path)
    with pytest.raises(EventFileError, match=r"row 1: the id = .* is a double beyond"):
        read_ids(path, contract("int"))
