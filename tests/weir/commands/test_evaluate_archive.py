"""`weir evaluate --archive`: a model is judged by what was known of archived events."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from front_door import registry_of, write_settings
from front_door import weir_here as weir

from inference.backends.cpu import CpuEngine
from inference.evaluation.evaluate import evaluate
from monitoring.archive.training_rows import Span, read_training_rows
from streams.base.errors import WRONG_USE
from tests.weir.archived_world import fill_archive
from weir.config.settings import Settings, load_settings
from weir.services.wiring import open_registry
from weir.training.declared import archive_tables, declared_columns


class Given(NamedTuple):
    config: Path
    settings: Settings
    archive: str


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Given:
    folder = tmp_path_factory.mktemp("judged")
    events = registry_of(folder, [1])
    config = write_settings(folder / "weir.toml", comparison={"maturity": "7d"})
    settings = load_settings(config)
    fill_archive(settings, events)
    return Given(config, settings, settings.archive.place(settings.data_dir))


def test_it_is_judged_by_the_rows_that_would_be_trained_on(given: Given) -> None:
    said = weir("evaluate", "--archive", given.archive, "--json", "-c", given.config)
    assert said.returncode == 0, said.stderr
    found = json.loads(said.stdout)
    settings, terms = given.settings, given.settings.terms()
    span = Span(None, None, terms.maturity, terms.unlabelled_count)
    tables, columns = archive_tables(settings, given.archive), declared_columns(settings)
    rows = read_training_rows(tables, columns, span, lambda *_: None)
    with CpuEngine(open_registry(settings).resolve("champion")) as engine:
        answers = engine.infer(rows.matrix)
    assert rows.keys is not None
    expected = evaluate(
        times_ms=rows.times,
        cards=rows.keys,
        labels=rows.labels,
        scores=answers.score,
        probabilities=answers.probability,
        k=settings.evaluation.cards_per_day,
        capacity_per_day=settings.evaluation.events_per_day,
    ).as_dict()
    assert expected["frauds"] > 10
    decisions = found.pop("decisions")
    del expected["decisions"]
    assert found.pop("undefined") == expected.pop("undefined") == {}
    assert found == pytest.approx(expected)
    assert sum(each["events"] for each in decisions.values()) == found["events"] == len(rows.labels)
    assert not list(settings.data_dir.glob("judged-*"))


def test_a_span_of_it_and_a_table_for_people(given: Given) -> None:
    tables = archive_tables(given.settings, given.archive)
    dataset = tables["events"].dataset()
    assert dataset is not None
    days = np.unique(dataset.to_table(columns=["date"])["date"].to_numpy())
    start, stop = str(days[2]), str(days[5])
    span = ("--from", start, "--to", stop)
    said = weir("evaluate", "--archive", given.archive, *span, "-c", given.config)
    assert said.returncode == 0, said.stderr
    assert "Quality of the scores" in said.stdout
    one = weir("evaluate", "--archive", given.archive, *span, "--json", "-c", given.config)
    assert json.loads(one.stdout)["days"] == 3


def test_what_does_not_fit_is_said(given: Given, tmp_path: Path) -> None:
    for wrong, why in (
        (["--model", "1"], "--model and --engine are for --archive"),
        (["--engine", "spark"], "--model and --engine are for --archive"),
        (["--archive", given.archive, "--ids", "ids.csv"], "--ids is for the topics"),
    ):
        said = weir("evaluate", *wrong, "-c", given.config)
        assert (said.returncode, why in said.stderr) == (WRONG_USE, True), said.stderr
    said = weir("evaluate", "--archive", tmp_path / "no", "-c", given.config)
    assert said.returncode == 1
    assert "there is no archive at" in said.stderr
