"""The benchmark of verdicts simulates what it says; few runs here, since bounds are wide."""

import numpy as np

from benchmarks.verdicts import (
    CAP,
    cost_factors,
    discordant_pairs,
    false_verdicts,
    first_significant,
    mean_capped_amount,
    sixty_forty,
)
from inference.shadow.statistics.mcnemar import log_e_better


def test_labels_on_arrival_make_false_verdicts_and_matured_ones_do_not() -> None:
    for null, verdicts in (("even", ("cost", "recall")), ("stricter", ("cost",))):
        found = false_verdicts(null, 60)
        for verdict in verdicts:
            assert found["by maturity"][verdict] <= 0.12  # a share of .05 is above in 1 of 400
            assert found["by arrival"][verdict] > 2 * found["by maturity"][verdict] + 0.05


def test_the_nulls_are_null() -> None:
    """No bet gains in the mean, and none loses more than its variance."""
    generator = np.random.default_rng(1)
    for null in ("even", "stricter"):
        pairs = [discordant_pairs(null, generator) for _ in range(5)]
        fraud, won, _, amount, _ = (np.concatenate(each) for each in zip(*pairs, strict=True))
        gains = np.expm1(cost_factors(null, fraud, won, amount)).reshape(fraud.size, -1)
        errors = gains.std(axis=0) / np.sqrt(len(gains))
        assert (np.abs(gains.mean(axis=0)) < 4 * errors).all()
        if null == "even":
            for member in (fraud, ~fraud):
                assert abs(won[member].mean() - 0.5) < 4 * 0.5 / np.sqrt(member.sum())


def test_the_mean_of_a_capped_amount() -> None:
    drawn = np.minimum(np.random.default_rng(2).lognormal(4.3, 1.2, 400_000), CAP)
    assert abs(drawn.mean() - mean_capped_amount()) < 4 * drawn.std() / np.sqrt(len(drawn))


def test_the_first_significant_count_is_that_of_the_evidence() -> None:
    bound = first_significant(300)
    for total in range(301):
        wins = np.arange(total + 1)
        reached = np.append(log_e_better(wins, total - wins) >= np.log(20), True)
        assert bound[total] == reached.argmax()


def test_sixty_to_forty_costs_about_as_much_as_a_test_of_fixed_size() -> None:
    found = sixty_forty(400)
    assert found["fixed_size"] == 158
    assert 0.85 < found["ratio"] < 1.15
