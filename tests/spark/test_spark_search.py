"""Trials of a search on Spark's executors: the same choice as of as many trials at once here."""

from pathlib import Path

import pytest
from front_door import write_events, write_settings

from inference.training.search.search import search
from streams.files.event_file import open_events
from tests.spark.test_spark_commands import started, weir
from weir.config.settings import load_settings
from weir.training.registering import training_set
from weir.training.searching import search_folds

pytest.importorskip("pyspark", reason="PySpark is not installed: `make spark-check` does so")
TRIALS, CORES = 4, 2


def test_trials_are_spread_over_executors_and_find_the_same(tmp_path: Path) -> None:
    events = write_events(tmp_path / "events.parquet")
    config = write_settings(
        tmp_path / "weir.toml",
        training={"family": "logistic", "search": {"folds": 2}},
        prequential={"train": "20d", "test": "8d"},
    )
    asked = ("train", "--data", events, "--trials", TRIALS, "-c", config)
    asked += ("--engine", "spark")
    found = weir(*asked)["search"]
    assert (found["trials"], found["ended"]) == (TRIALS, "trials")
    settings = load_settings(config, training={"search": {"trials": TRIALS}})
    data = training_set(
        settings,
        open_events(events, settings.event, settings.labels.field),
        found["start"],
        found["stop"],
        lambda *_: None,
    )
    delay = settings.labels.delay
    here = search(
        data,
        search_folds(settings, found["stop"], delay),
        delay,
        settings.training,
        settings.evaluation.cards_per_day,
        lambda *_: None,
        at_once=CORES,
    )
    assert here.record.figure == found["figure"]
    assert here.best.number == found["best"]["number"]
    assert not list((tmp_path / "data").glob("weir-search-*"))


def test_spark_has_nothing_to_do_where_nothing_is_searched(tmp_path: Path) -> None:
    config = write_settings(tmp_path / "weir.toml")
    process = started("train", "--engine", "spark", "-c", config)
    assert "runs the trials of" in " ".join(process.communicate(timeout=120)[1].split())
    assert process.returncode == 2
