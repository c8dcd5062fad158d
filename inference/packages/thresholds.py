"""Decision thresholds, looked up by alert rate: the share of events that one can afford to flag."""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from inference.errors import InferenceError
from streams.base.section import Section

_ALERT_RATES = tuple(
    round(mantissa * 10.0**exponent, 6) for exponent in (-4, -3, -2, -1) for mantissa in (1, 2, 5)
)


class ThresholdError(InferenceError):
    """An alert rate that the hold-out rows say nothing about."""


class ThresholdRow(Section):
    """What flagging at one threshold did on the hold-out rows."""

    alert_rate: float = Field(gt=0, lt=1)
    probability: float
    precision: float
    recall: float


class Thresholds(Section):
    """``thresholds.json``: a table by rising alert rate, and the package's own two bounds."""

    rows: int
    table: tuple[ThresholdRow, ...] = Field(min_length=1)
    review: float
    decline: float

    @model_validator(mode="after")
    def _is_in_order(self) -> "Thresholds":
        rates = [row.alert_rate for row in self.table]
        bounds = [row.probability for row in self.table]
        if rates != sorted(set(rates)) or bounds != sorted(bounds, reverse=True):
            raise ValueError("thresholds must fall while alert rates rise")
        if self.decline < self.review:
            raise ValueError("decline must be at or above review")
        return self

    def probability_at(self, alert_rate: float) -> float:
        """Return the probability at or above which that share of hold-out rows was flagged.

        Between two rows of the table, it is interpolated linearly over the log of the rate.

        Raises:
            ThresholdError: the rate is outside the table.
        """
        rates = [row.alert_rate for row in self.table]
        if not rates[0] <= alert_rate <= rates[-1]:
            raise ThresholdError(
                f"alert rate {alert_rate:g} is outside what {self.rows} hold-out rows can tell: "
                f"choose {rates[0]:g} to {rates[-1]:g}, or train on more events"
            )
        bounds = [row.probability for row in self.table]
        return float(np.interp(np.log(alert_rate), np.log(rates), bounds))

    def alert_rate_at(self, probability: float) -> float:
        """Return the share of hold-out rows at or above a probability: `probability_at` backwards.

        Beyond the table, on a straight line to none at 1, and to all at 0.
        """
        rates = np.array([row.alert_rate for row in self.table])[::-1]
        bounds = np.array([row.probability for row in self.table])[::-1]
        if bounds[0] <= probability <= bounds[-1]:
            return float(np.exp(np.interp(probability, bounds, np.log(rates))))
        return float(np.interp(probability, [0.0, *bounds, 1.0], [1.0, *rates, 0.0]))


def fit_thresholds(
    probability: NDArray[np.float32],
    labels: NDArray[np.int8],
    review_rate: float,
    decline_rate: float,
    weights: NDArray[np.float64] | None = None,
) -> Thresholds:
    """Build the table from hold-out rows (n,), for 0.01 % to 50 % of them and the two rates.

    A bound flags at most its rate: where equal probabilities straddle it, it lies above them.

    Args:
        weights: how many events each row stands for, (n,); 1 each where None.

    Raises:
        ThresholdError: there are too few rows for `decline_rate` or `review_rate`.
    """
    order = np.argsort(-probability, kind="stable")
    n, ranked = len(order), probability[order]
    each = np.ones(n) if weights is None else weights[order]
    events, frauds = np.cumsum(each), np.cumsum(each * labels[order])
    total = float(frauds[-1])
    table = []
    for rate in sorted({*_ALERT_RATES, review_rate, decline_rate}):
        # 0.07 * 100 is a little more than 7.
        flagged = int(np.searchsorted(events, rate * events[-1] + 1e-9, side="right"))
        if flagged == 0:
            continue
        if ranked[flagged] == ranked[flagged - 1]:
            flagged = int(np.searchsorted(-ranked, -ranked[flagged], side="left"))
        if flagged == 0:
            bound, caught = float(np.nextafter(ranked[0], np.float32(np.inf))), 0.0
        else:
            bound, caught = float(ranked[flagged - 1]), float(frauds[flagged - 1])
        table.append(
            ThresholdRow(
                alert_rate=rate,
                probability=bound,
                precision=caught / float(events[flagged - 1]) if flagged else 0.0,
                recall=caught / total if total else 0.0,
            )
        )
    if not table or table[0].alert_rate > decline_rate:
        raise ThresholdError(
            f"{n} hold-out rows are too few for an alert rate of {decline_rate:g}: raise "
            "training.decline_alert_rate, or train on more events"
        )
    bounds = {row.alert_rate: row.probability for row in table}
    return Thresholds(
        rows=n, table=tuple(table), review=bounds[review_rate], decline=bounds[decline_rate]
    )
