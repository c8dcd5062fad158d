"""A search takes what does best on folds before the end, and finds the same again."""

import math
import pickle
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from payments import START, payments, quick_settings

from inference.evaluation.metrics import average_precision
from inference.training.fraud_model import fit_fraud_model
from inference.training.prequential import Fold, between, folds_until, still_unknown
from inference.training.search.search import Chosen, search
from inference.training.search.spaces import suggest
from inference.training.search.trial import (
    TrialResult,
    TrialRules,
    run_trial,
    run_trials,
    write_rows,
)
from inference.training.settings import PrequentialSettings, SearchSettings, TrainingSettings
from inference.training.training_set import TrainingError

DAY = 86_400_000
FAMILIES = ("lightgbm", "xgboost", "mlp", "logistic")
DATA = replace(
    payments(6_000), keys=np.random.default_rng(2).integers(0, 2_000, 6_000), weights=None
)
SPANS = PrequentialSettings(folds=2, train="4d", test="2d")  # type: ignore[arg-type]
FOLDS = folds_until(START // DAY * DAY + 12 * DAY, DAY, SPANS)


def settings_of(**asked: object) -> TrainingSettings:
    return quick_settings(
        family="logistic", search=SearchSettings.model_validate({"trials": 6} | asked)
    )


def searched(settings: TrainingSettings, data: object = DATA, **more: object) -> Chosen:
    told = more.pop("progress", lambda step, share: None)
    return search(data, FOLDS, DAY, settings, 20, told, **more)


def test_the_same_seed_and_trials_give_the_same_winner() -> None:
    told: list[tuple[str, float]] = []
    settings = settings_of()
    first = searched(settings, progress=lambda *said: told.append(said))
    again = searched(settings)
    assert first.settings == again.settings
    assert first.record == again.record
    assert [each.figure for each in first.trials] == [each.figure for each in again.trials]
    other = searched(settings.model_copy(update={"seed": 8}))
    assert [each.parameters for each in other.trials] != [each.parameters for each in again.trials]
    figures = [each.figure for each in first.trials]
    assert (first.record.figure, first.record.as_set) == (max(figures), figures[0])
    assert (first.record.trials, len(figures), first.record.ended) == (6, 7, "trials")
    assert first.best.family == first.settings.family == "logistic"
    for key, value in first.best.parameters.items():
        section, name = key.split(".")
        assert getattr(getattr(first.settings, section), name) == value
    assert "trial 6 of 6, best average precision 0." in told[-1][0]
    assert [share for _, share in told] == sorted(share for _, share in told)


def test_a_figure_is_that_of_models_trained_in_the_folds(tmp_path: Path) -> None:
    settings = settings_of()
    write_rows(DATA, slice(None), tmp_path / "rows")
    rules = TrialRules(tmp_path / "rows", tuple(FOLDS), DAY, "average_precision", 20)
    rules, settings = pickle.loads(pickle.dumps((rules, settings)))  # to wherever it is run
    figures = []
    for fold in FOLDS:
        rows = between(DATA.times, fold.train_start, fold.train_stop)
        model = fit_fraud_model(
            DATA.matrix[rows], DATA.labels[rows], settings, None, lambda _: None
        )
        tested = still_unknown(DATA.labels, DATA.times, DATA.keys, fold, DAY)
        figures.append(average_precision(DATA.labels[tested], model.margin(DATA.matrix[tested])))
    assert run_trial(rules, settings).figure == pytest.approx(np.mean(figures), rel=1e-9)
    counted = replace(rules, metric="card_precision")
    assert 0 < run_trial(counted, settings).figure < 1
    weighted = replace(DATA, weights=np.where(DATA.labels == 1, 1.0, 3.0))
    write_rows(weighted, slice(None), tmp_path / "rows")
    assert run_trial(rules, settings).figure < 0.9 * np.mean(figures)


def test_rows_after_the_folds_are_not_looked_at() -> None:
    late = DATA.times >= FOLDS[-1].test_stop
    assert late.sum() > 500
    turned = replace(DATA, labels=np.where(late, 1 - DATA.labels, DATA.labels))
    assert (
        searched(settings_of(), turned).trials[-1].figure
        == searched(settings_of()).trials[-1].figure
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_each_family_has_a_space_within_its_settings(family: str) -> None:
    import optuna

    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    base, seen = quick_settings(), []
    for _ in range(20):
        settings, chosen = suggest(study.ask(), base, (family,))
        assert settings.family == family
        assert TrainingSettings.model_validate(settings.model_dump() | {"search": {}}) == settings
        seen.append(tuple(chosen.values()))
    assert len(set(seen)) == 20


def test_trials_may_run_elsewhere_many_at_once() -> None:
    asked: list[int] = []

    def elsewhere(rules: TrialRules, settings: object) -> list[TrialResult]:
        asked.append(len(settings))
        return [
            TrialResult(1 / (1 + abs(math.log10(each.dense.l2) + 3)), 0, 1) for each in settings
        ]

    found = searched(settings_of(trials=30), run=elsewhere, at_once=8)
    assert asked == [1, 8, 8, 8, 6]
    assert abs(math.log10(found.settings.dense.l2) + 3) < 0.5


def test_it_chooses_among_families() -> None:
    def liking(rules: TrialRules, settings: object) -> list[TrialResult]:
        return [TrialResult(FAMILIES.index(each.family) / 10, 0, 1) for each in settings]

    found = searched(settings_of(families=FAMILIES, trials=40), run=liking)
    assert len({each.family for each in found.trials}) > 1
    likes = "logistic"
    assert (found.settings.family, found.record.families) == (likes, FAMILIES)


def test_it_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr("inference.training.search.search.monotonic", lambda: clock.now)

    def slow(rules: TrialRules, settings: object) -> list[TrialResult]:
        clock.now += 60
        return [TrialResult(0.5, 0, 60)]

    found = searched(settings_of(trials=50, time="5m"), run=slow)
    assert (found.record.trials, found.record.ended, clock.now) == (4, "time", 300)
    assert (found.best.number, found.settings) == (0, settings_of(trials=50, time="5m"))


def test_told_to_stop_it_takes_the_best_only_if_asked() -> None:
    tried: list[object] = []

    def interrupted(rules: TrialRules, settings: object) -> list[TrialResult]:
        tried.append(settings)
        if len(tried) == 3:
            raise KeyboardInterrupt
        return [TrialResult(0.1 * len(tried), 0, 1)]

    with pytest.raises(KeyboardInterrupt):
        searched(settings_of(), run=interrupted)
    tried.clear()
    found = searched(settings_of(on_stop="use_best"), run=interrupted)
    assert (found.best.number, found.record.ended) == (1, "stop")
    # A library may swallow the interrupt.
    found = searched(settings_of(on_stop="use_best"), stopped=lambda: True)
    assert (found.record.trials, found.record.ended) == (0, "stop")


def test_trials_that_fail_are_passed_over() -> None:
    def shaky(rules: TrialRules, settings: object) -> list[TrialResult]:
        if settings[0].dense.clip > 4:
            return [TrialResult(float("nan"), 0, 1, "weights ran away")]
        return run_trials(rules, settings)

    found = searched(settings_of(trials=12), run=shaky)
    assert found.record.as_set is None
    assert found.best.number > 0
    assert sum(bool(each.failed) for each in found.trials) > 1

    def never(rules: TrialRules, settings: object) -> list[TrialResult]:
        return [TrialResult(float("nan"), 0, 1, "weights ran away")]

    with pytest.raises(TrainingError, match="each trial failed, the first one so: weights ran"):
        searched(settings_of(), run=never)


def test_a_fit_that_goes_astray_is_a_failed_trial(tmp_path: Path) -> None:
    write_rows(DATA, slice(0, 0), tmp_path / "rows")
    found = run_trial(TrialRules(tmp_path / "rows", tuple(FOLDS), DAY, "auc", 20), settings_of())
    assert math.isnan(found.figure)
    assert found.failed


def test_folds_have_to_be_there_and_to_have_frauds() -> None:
    early = [Fold(*(time - 5 * DAY for time in fold)) for fold in FOLDS]
    with pytest.raises(TrainingError, match=r"training\.search\.folds lower"):
        search(DATA, early, DAY, settings_of(), 20, lambda *_: None)
    for begin, stop, why in (
        (FOLDS[0].train_start, FOLDS[0].train_stop, "fold 1 of 2 of the search: it needs frauds"),
        (FOLDS[1].test_start, FOLDS[1].test_stop, "fold 2 of 2 of the search: there is no fraud"),
    ):
        inside = (DATA.times >= begin) & (DATA.times < stop)
        with pytest.raises(TrainingError, match=why):
            searched(settings_of(), replace(DATA, labels=np.where(inside, 0, DATA.labels)))
