"""The ``[approve_through]`` section: what share of would-be declines is approved."""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, SecretStr, model_validator

from streams.base.section import Name, Section

LEAST_SHARE = 1e-4
"""Of a smaller one nothing could be learned."""


class Band(Section):
    """A band of fraud probabilities above the decline bound.

    Attributes:
        width: how far it reaches, in probability, from where the band before it ends; None, for the
            last one, to the top.
        share: of its would-be declines, that are approved.
    """

    width: float | None = Field(default=None, gt=0, le=1)
    share: float = Field(ge=LEAST_SHARE, lt=1)


class ApproveThroughSettings(Section):
    """The ``[approve_through]`` section; without it, nothing is approved that would be declined.

    Attributes:
        bands: from the decline bound upwards; what lies above the last one is always declined.
        daily_budget: the most that is approved so within a day of event time (UTC), in the currency
            of amounts, all partitions together. Each partition has an equal part of it.
        amount: the field that says what is at stake; `feature_log.include` has to name it.
        salt: whoever knows it and an event's id can tell whether a decline would be approved.
    """

    bands: tuple[Band, ...] = Field(min_length=1)
    daily_budget: float = Field(gt=0, allow_inf_nan=False)
    amount: Name = "amount"
    salt: SecretStr = Field(min_length=16)

    @model_validator(mode="after")
    def _only_the_last_band_reaches_the_top(self) -> "ApproveThroughSettings":
        if any(band.width is None for band in self.bands[:-1]):
            raise ValueError("each band but the last one of approve_through.bands needs a width")
        return self

    def shares(self, excess: NDArray[np.float64]) -> NDArray[np.float64]:
        """The share of the band of each would-be decline, (n,); 0 above all bands.

        Args:
            excess: fraud probability above the decline bound, (n,).
        """
        tops = np.cumsum([1.0 if band.width is None else band.width for band in self.bands])
        shares = np.array([*(band.share for band in self.bands), 0.0])
        if self.bands[-1].width is None:
            tops[-1] = np.inf
        found: NDArray[np.float64] = shares[np.searchsorted(tops, excess, side="right")]
        return found
