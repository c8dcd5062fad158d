"""Folds lie one after the other, with the labels' delay between training and test."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from payments import START, payments, quick_settings

from inference.training.prequential import Fold, folds_until, prequential, still_unknown
from inference.training.settings import PrequentialSettings
from inference.training.training_set import TrainingError

DAY = 86_400_000


def test_the_folds_of_the_handbook() -> None:
    found = folds_until(100 * DAY, 7 * DAY, PrequentialSettings())
    assert found[-1] == Fold(79 * DAY, 86 * DAY, 93 * DAY, 100 * DAY)
    assert [each.train_start // DAY for each in found] == [58, 65, 72, 79]
    for earlier, later in itertools.pairwise(found):
        assert earlier.test_stop == later.test_start


def test_keys_known_by_the_day_are_not_tested() -> None:
    data = payments(600)
    at = [0, 8, 9.5, 10, 15, 15.9, 16.5, 17.2, 17.9]
    keys = np.array(["x", "a", "b", "old", "a", "b", "b", "c", "b"])
    fraud = np.array([1, 1, 1, 1, 0, 0, 0, 1, 0], np.int8)
    data = replace(
        data,
        matrix=data.matrix[:9],
        times=np.array([round(each * DAY) for each in at]),
        labels=fraud,
    )
    fold = Fold(1 * DAY, 8 * DAY, 15 * DAY, 18 * DAY)

    def unknown(days: int) -> np.ndarray:
        return still_unknown(data.labels, data.times, keys, fold, days * DAY)

    # With a delay of seven days: a's fraud of day 8 is known on day 15, since 15 - 7 = 8 is not
    # before it; b's of day 9.5 is known on day 17, and c was never caught.
    assert unknown(7).tolist() == [4, 5, 6, 7]
    keys[0] = "c"  # a fraud from before training began is nothing that we know
    assert 7 in unknown(7)
    fraud[4] = 1
    assert unknown(5).tolist() == [7]


def test_each_fold_is_trained_on_its_own_span() -> None:
    keys = np.random.default_rng(2).integers(0, 3_000, 12_000)
    data = replace(payments(12_000), keys=keys)
    spans = PrequentialSettings(folds=2, train="5d", test="3d")  # type: ignore[arg-type]
    end = START + 14 * DAY
    folds = folds_until(end, DAY, spans)
    told: list[str] = []

    def run(rows: object = data) -> list:
        return list(
            prequential(rows, folds, DAY, quick_settings(), 20, lambda step, _: told.append(step))
        )

    found = run()
    assert [each.fold for each in found] == folds
    for each in found:
        inside = (data.times >= each.fold.train_start) & (data.times < each.fold.train_stop)
        assert each.trained == inside.sum()
        assert each.auc > 0.6
        assert 0 < each.card_precision < 1
        assert each.average_precision > 1.5 * each.frauds / each.tested
    assert any(step.startswith("fold 2 of 2: fitting trees") for step in told)
    # What lies in the gap teaches nothing.
    gap = (data.times >= folds[-1].train_stop) & (data.times < folds[-1].test_start)
    turned = replace(data, matrix=np.where(gap[:, None], np.float32(7), data.matrix))
    assert run(turned)[-1].auc == found[-1].auc
    clean = replace(data, labels=np.where(data.times < folds[0].test_start, data.labels, 0))
    with pytest.raises(TrainingError, match="no fraud to test"):
        run(clean)
