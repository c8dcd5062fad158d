"""`explain.method = "lime"`: records say what the `lime` package says, and can be made again."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from answered import answered, writer_of
from lime_package import PackageLime
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry
from pydantic import ValidationError
from scorer_desk import PLAN, TOPICS, Desk, work_of

from explain.errors import ExplainError
from explain.exact.settings import ExactSettings
from explain.lime.settings import ExplainSettings
from explain.record.reason_settings import ReasonSettings
from explain.record.record import Record, read
from explain.reports.analyst_sheet import sheet_of
from explain.workers.inline_explainer import BudgetedExplainer
from explain.writing.flagged import FlaggedEvents
from explain.writing.key_ring import KeyRing
from explain.writing.reproduce import reproduce
from inference.backends.cpu import CpuEngine
from inference.packages.package import ModelPackage
from inference.policy.policy import DECISIONS
from weir.reasons import open_catalogue

SURE = {"r2": 0.0, "ess": 1.0, "gap": 99.0}
CATALOGUE = open_catalogue(ReasonSettings())


def settings_of(seed: int = 0, **lime: Any) -> ExplainSettings:
    return ExplainSettings.model_validate(
        {
            "method": "lime",
            "seed": seed,
            "lime": {"num_samples": 400} | lime,
            "confidence": SURE,
            "decisions": DECISIONS,
        }
    )


def events_with(rows: NDArray[np.float32], like: FlaggedEvents) -> FlaggedEvents:
    """Events of these features."""
    n = len(rows)
    some = np.full(n, 0.5, np.float32)
    return replace(
        like,
        ids=range(n),
        keys=range(n),
        times=np.arange(n),
        offsets=np.arange(n),
        features=rows,
        score=some,
        probability=some,
        anomaly=some,
        decisions=[like.decisions[0]] * n,
    )


def records_of(
    model: ModelPackage, rows: NDArray[np.float32], explain: ExplainSettings
) -> list[Record]:
    events = events_with(rows, answered(model, 3)[0])
    return [read(data) for _, data in writer_of(model, explain).write(events)]


def by_the_package(
    model: ModelPackage, record: Record, row: NDArray[np.float32], chosen: ExactSettings, seed: int
) -> dict[str, float]:
    """The attributions of the columns that have a value, by the package itself."""
    known = np.flatnonzero(np.isfinite(row))
    usual = np.nanmedian(model.background, axis=0)
    training = np.where(np.isnan(model.background), usual, model.background)[:, known]
    digest = hashlib.sha256(f"{seed}\n{record.id}".encode()).digest()
    stream = np.random.RandomState(np.frombuffer(digest, "<u4"))

    def score(inputs: NDArray[np.float64]) -> NDArray[np.float64]:
        rows = np.tile(row, (len(inputs), 1))
        rows[:, known] = inputs
        with CpuEngine(model) as engine:
            return engine.infer(rows).score.astype(np.float64)

    package = PackageLime(training.astype(np.float64), chosen, stream)
    found = package.explain(row[known].astype(np.float64), score)
    names = model.features.names
    return {names[known[i]]: w for i, w in zip(found.features, found.weights, strict=True)}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("lime", "seed"),
    [
        ({}, 0),
        ({"discretizer": "none", "num_features": 2}, 3),
        ({"discretizer": "decile", "feature_selection": "highest_weights", "kernel_width": 1.5}, 1),
    ],
)
def test_a_record_says_what_the_lime_package_says(
    model: ModelPackage, lime: dict[str, Any], seed: int
) -> None:
    rows = model.background[:6].copy()
    rows[1, 0] = rows[2, 1] = rows[2, 2] = np.nan
    records = records_of(model, rows, settings_of(seed, **lime))
    chosen = ExactSettings(num_samples=400, **lime)
    missing = 0
    for record, row in zip(records, rows, strict=True):
        assert record.schema == "weir.explanation/2"
        expected = by_the_package(model, record, row, chosen, seed)
        for each in record.explanation.attributions:
            assert each.value == pytest.approx(expected.get(each.group, 0.0), abs=2e-6)
            assert each.error is None
        missing += int(np.isnan(row).sum())
        with CpuEngine(model) as engine:
            score = float(engine.infer(row[None]).score[0])
        assert 1 / (1 + np.exp(-(record.answers.log_odds or 0))) == pytest.approx(score, abs=1e-6)
    assert missing >= 3
    assert any(each.value for record in records for each in record.explanation.attributions)


@pytest.mark.parametrize(
    "lime", [{}, {"discretizer": "none", "categorical_features": ["count_1d"], "num_samples": 200}]
)
def test_it_is_made_again_by_the_method_that_it_names(
    model: ModelPackage, lime: dict[str, Any], tmp_path: Path
) -> None:
    with KeyRing.make(tmp_path / "ring") as ring:
        for number, kept in (("2", None), ("4", ring)):
            writer = writer_of(model, settings_of(seed=5, **lime), ring=kept)
            for events in answered(model, 12):
                for _, data in writer.write(events):
                    assert read(data).schema == f"weir.explanation/{number}"
                    again = reproduce(data, model, 7, CATALOGUE)
                    assert again.differences == ()
                    assert again.identical


def test_neither_company_nor_order_changes_a_record(model: ModelPackage) -> None:
    together = [data for _, data in writer_of(model, settings_of()).write(answered(model, 30)[0])]
    alone = answered(model, 30)[0]
    writer = writer_of(model, settings_of())
    assert len(together) > 2
    for i in reversed(range(len(alone))):
        one = slice(i, i + 1)
        ((_, data),) = writer.write(
            replace(
                alone,
                ids=alone.ids[one],
                keys=alone.keys[one],
                times=alone.times[one],
                offsets=alone.offsets[one],
                features=alone.features[one],
                score=alone.score[one],
                probability=alone.probability[one],
                anomaly=alone.anomaly[one],
                decisions=alone.decisions[one],
            )
        )
        assert data == together[i]


def test_another_seed_draws_other_samples(model: ModelPackage) -> None:
    rows = model.background[:1]
    one, other = (records_of(model, rows, settings_of(seed))[0] for seed in (0, 1))
    assert one.id == other.id
    assert one.explanation.attributions != other.explanation.attributions


def test_inside_the_scorer_it_makes_the_same_records(model: ModelPackage) -> None:
    explain = settings_of().model_copy(update={"mode": "inline", "budget": 60_000})
    writer = writer_of(model, explain)
    inline = BudgetedExplainer(
        explain,
        topic=TOPICS.explanations,
        events_topic=TOPICS.events,
        names=PLAN.names,
        writer_of=lambda *_: writer,
        registry=CollectorRegistry(),
    )
    inline.prepare(model, 7)
    desk = Desk(model)
    desk.scorer._answerer._explains = inline
    sent = desk.process(work_of(12))[TOPICS.explanations]
    apart = [data for events in answered(model, 12) for _, data in writer.write(events)]
    assert len(apart) == 12
    assert sorted(sent.values) == sorted(apart)


def test_an_event_without_any_value_has_no_explanation(model: ModelPackage) -> None:
    with pytest.raises(ExplainError, match="no value"):
        records_of(model, np.full((1, 3), np.nan, np.float32), settings_of())


def test_a_sheet_is_in_probability(model: ModelPackage) -> None:
    (record,) = records_of(model, model.background[:1], settings_of())
    sheet = sheet_of(record, "en")
    assert sheet.words["attributions_note"] == "probability of fraud, by the published LIME"
    assert {bar.error for bar in sheet.bars} == {""}
    assert "lime 0.2.0.1, n = 400" in next(f.text for f in sheet.versions if f.name == "explainer")


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"method": "lime", "groups": {"use": ["count_1d"]}}, "leave explain.groups out"),
        ({"method": "lime", "lime": {"discretizer": "entropy"}}, "needs labels"),
        ({"method": "shap"}, "'operator' or 'lime'"),
    ],
)
def test_settings_that_it_has_no_use_for_are_refused(values: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        ExplainSettings.model_validate(values)
