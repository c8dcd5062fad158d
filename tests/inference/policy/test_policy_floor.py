"""What a policy that is set by a command may not undercut."""

from typing import Any

import pytest

from inference.packages.thresholds import ThresholdRow, Thresholds
from inference.policy.floor import BoundedPolicies, PolicyFloor
from inference.policy.policy import PolicyError, PolicySettings

THRESHOLDS = Thresholds(
    rows=10_000,
    table=tuple(
        ThresholdRow(alert_rate=rate, probability=bound, precision=0.5, recall=0.5)
        for rate, bound in ((0.001, 0.9), (0.01, 0.5), (0.1, 0.1))
    ),
    review=0.5,
    decline=0.9,
)


def fit(policy: dict[str, Any], **floor: Any) -> None:
    policies = BoundedPolicies(PolicySettings(), PolicyFloor.model_validate(floor))
    policies.fit(PolicySettings.model_validate({"version": "2"} | policy), THRESHOLDS)


@pytest.mark.parametrize(
    ("policy", "floor", "says"),
    [
        ({"fallback": "approve", "deadline": "1s"}, {}, "policy_floor.fallbacks"),
        ({"fallback": "review", "deadline": "1s"}, {"fallbacks": ["decline"]}, "allows decline"),
        ({"deadline": "1ms"}, {}, "policy_floor.min_deadline, '20ms'"),
        ({"deadline": "99ms"}, {"min_deadline": "100ms"}, "shorter than"),
        ({"review_alert_rate": 0, "decline_alert_rate": 0}, {}, "policy_floor.min_alert_rate"),
        ({"review_probability": 1, "decline_probability": 1}, {}, "policy_floor.min_alert_rate"),
        ({"review_alert_rate": 0.005}, {"min_alert_rate": 0.01}, "review or decline 0.005"),
        (
            {"review_probability": 0.5, "decline_probability": 0.95},
            {"min_alert_rate": 0.02},
            "review or decline 0.01",
        ),
        ({"review_alert_rate": 0.1}, {"max_alert_rate": 0.05}, "policy_floor.max_alert_rate"),
        ({"review_probability": 0, "decline_probability": 1}, {"max_alert_rate": 0.9}, "of the"),
    ],
)
def test_a_policy_below_the_floor_is_refused(
    policy: dict[str, Any], floor: dict[str, Any], says: str
) -> None:
    with pytest.raises(PolicyError, match="goes below the floor") as refused:
        fit(policy, **floor)
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("policy", "floor"),
    [
        ({}, {}),
        ({"fallback": "approve"}, {"fallbacks": ["approve"]}),
        ({"deadline": "20ms"}, {}),
        ({"review_probability": 0.95, "decline_probability": 0.99}, {}),
        ({"review_alert_rate": 0, "decline_alert_rate": 0.001}, {}),
        ({"review_alert_rate": 0, "decline_alert_rate": 0}, {"min_alert_rate": 0}),
    ],
)
def test_others_are_not(policy: dict[str, Any], floor: dict[str, Any]) -> None:
    fit(policy, **floor)


def test_the_settings_own_policy_stands_above_it() -> None:
    own = PolicySettings(fallback="approve", deadline="1ms")
    policies = BoundedPolicies(own, PolicyFloor())
    assert policies.fit(own, THRESHOLDS).settings == own
    with pytest.raises(PolicyError):
        policies.fit(own.model_copy(update={"version": "2"}), THRESHOLDS)


def test_a_floor_that_allows_no_policy_is_refused() -> None:
    with pytest.raises(ValueError, match="no policy could be set"):
        PolicyFloor(min_alert_rate=0.5, max_alert_rate=0.1)
