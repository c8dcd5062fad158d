import numpy as np
import pytest
from pydantic import ValidationError

from inference.engine.protocol import Outputs
from inference.packages.thresholds import ThresholdRow, Thresholds
from inference.policy.policy import (
    APPROVE,
    DECISIONS,
    DECLINE,
    REVIEW,
    Policy,
    PolicyError,
    PolicySettings,
)

NAN = float("nan")
THRESHOLDS = Thresholds(
    rows=1000,
    table=tuple(
        ThresholdRow(alert_rate=rate, probability=probability, precision=0.5, recall=0.5)
        for rate, probability in ((0.001, 0.9), (0.01, 0.5), (0.1, 0.1))
    ),
    review=0.5,
    decline=0.9,
)


def decide(settings: PolicySettings, probability, anomaly=0.0, score=0.0):
    shape = np.broadcast_shapes(np.shape(probability), np.shape(anomaly), np.shape(score))
    outputs = Outputs(
        *(np.broadcast_to(np.float32(x), shape) for x in (score, probability, anomaly))
    )
    return Policy(settings, THRESHOLDS).decide(outputs).tolist()


def test_names_go_with_codes():
    assert [DECISIONS[code] for code in (APPROVE, REVIEW, DECLINE)] == [
        "approve",
        "review",
        "decline",
    ]


def test_bounds_belong_to_the_stricter_side():
    below = np.nextafter(np.float32(0.5), np.float32(0))
    assert decide(PolicySettings(), [0.0, below, 0.5, 0.89, 0.9, 1.0]) == [0, 0, 1, 1, 2, 2]


def test_codes_are_int8_and_empty_batches_pass():
    policy = Policy(PolicySettings(), THRESHOLDS)
    empty = np.empty(0, np.float32)
    assert policy.decide(Outputs(empty, empty, empty)).dtype == np.int8


def test_explicit_bounds_replace_the_packages_own():
    settings = PolicySettings(review_probability=0.2, decline_probability=0.3)
    assert decide(settings, [0.1, 0.2, 0.3]) == [0, 1, 2]


def test_alert_rates_are_looked_up_and_interpolated():
    policy = Policy(PolicySettings(review_alert_rate=0.1, decline_alert_rate=0.01), THRESHOLDS)
    assert (policy.review, policy.decline) == (np.float32(0.1), np.float32(0.5))
    between = Policy(PolicySettings(review_alert_rate=10**-1.5), THRESHOLDS)
    assert between.review == np.float32(0.3)


def test_a_rate_of_zero_switches_a_decision_off():
    assert decide(PolicySettings(decline_alert_rate=0), [0.6, 1.0]) == [1, 1]
    assert decide(PolicySettings(review_alert_rate=0), [0.6, 0.95]) == [0, 2]
    both = PolicySettings(review_alert_rate=0, decline_alert_rate=0)
    assert decide(both, [0.6, 1.0]) == [0, 0]


def test_anomaly_sends_to_review_but_never_softens_a_decline():
    settings = PolicySettings(anomaly_review=0.99)
    assert decide(settings, [0.0, 0.0, 0.95], [0.98, 0.99, 1.0]) == [0, 1, 2]
    assert decide(PolicySettings(), [0.0], [1.0]) == [0]


@pytest.mark.parametrize(
    "settings",
    [
        PolicySettings(),
        PolicySettings(anomaly_review=0.9),
        PolicySettings(review_alert_rate=0, decline_alert_rate=0),
    ],
)
def test_no_answer_is_never_approved(settings):
    assert decide(settings, [NAN, 0.0, 0.0], [0.0, NAN, 0.0], [0.0, 0.0, NAN]) == [1, 1, 1]


def test_a_known_decline_stands_beside_a_missing_anomaly():
    assert decide(PolicySettings(), [0.95], [NAN]) == [2]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"decline_probability": 0.4}, "declining from 0.4 on is below reviewing from 0.5"),
        ({"review_alert_rate": 0.0005}, "policy.review_alert_rate: alert rate 0.0005 is outside"),
        ({"decline_alert_rate": 0.2}, "choose 0.001 to 0.1"),
    ],
)
def test_what_does_not_fit_the_model_is_explained(settings, message):
    with pytest.raises(PolicyError, match=message):
        Policy(PolicySettings(**settings), THRESHOLDS)


@pytest.mark.parametrize(
    "settings",
    [
        {"review_probability": 0.1, "review_alert_rate": 0.1},
        {"decline_probability": 1.1},
        {"anomaly_review": -0.1},
        {"version": ""},
        {"reveiw_probability": 0.1},
    ],
)
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(ValidationError):
        PolicySettings(**settings)
