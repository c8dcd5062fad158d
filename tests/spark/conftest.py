"""One session of Spark for all tests of it, or none where PySpark is not installed."""

from collections.abc import Iterator

import pytest

from weir.spark.session import SparkRun, spark_session
from weir.spark.settings import SparkSettings


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkRun]:
    pytest.importorskip("pyspark", reason="PySpark is not installed: `make spark-check` does so")
    settings = SparkSettings(master="local[2]", conf={"spark.sql.ansi.enabled": "true"})
    with spark_session(settings, tmp_path_factory.mktemp("spark")) as run:
        yield run
