"""What is said where Spark can't be had, and what [spark] takes."""

import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from weir.broker import java
from weir.spark.session import SparkUnavailableError, spark_session
from weir.spark.settings import SparkSettings


def refusal(folder: Path) -> str:
    with pytest.raises(SparkUnavailableError) as caught, spark_session(SparkSettings(), folder):
        raise AssertionError("it was opened")
    assert caught.value.exit_code == 3
    return str(caught.value)


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyspark.sql", None)
    assert "pip install 'weir[spark]'" in refusal(tmp_path)
    monkeypatch.setitem(sys.modules, "pyspark", type(sys)("pyspark"))
    fake = type(sys)("pyspark.sql")
    fake.SparkSession = None  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pyspark.sql", fake)
    monkeypatch.setattr(java, "_candidates", lambda: iter(()))
    assert "pip install 'weir[java]'" in refusal(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"driver_memory": "much"}, "write one such as '4g'"),
        ({"conf": {"master": "yarn"}}, "names that begin with 'spark.'"),
        ({"conf": {"spark.executor.memory": "4g"}}, "set by spark.executor_memory"),
    ],
)
def test_a_wrong_setting_says_what_is_right(wrong: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        SparkSettings.model_validate(wrong)
