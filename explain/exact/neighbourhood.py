"""Samples around an event: what the model is asked about, and what the local model sees of it."""

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.preprocessing import StandardScaler

from explain.exact.columns import Bins, Shares, bin_borders
from explain.exact.settings import ExactSettings


class Neighbourhood(NamedTuple):
    """Samples of an event, the event itself being the first.

    Attributes:
        inputs: (samples, k) feature values, for the model.
        design: (samples, k) what the local model is fitted on: a discretised or categorical
            feature is 1 where it is as in the event and else 0; another one is standardised.
    """

    inputs: NDArray[np.float64]
    design: NDArray[np.float64]


class Sampler(Protocol):
    """Draws samples around an event, in the order in which the package draws."""

    def sample(
        self, row: NDArray[np.float64], count: int, random_state: np.random.RandomState
    ) -> Neighbourhood:
        """Return `count` samples of a (k,) event."""


class DiscretisedSampler:
    """Draws each feature's bin as often as it occurs, then values within the bins."""

    def __init__(
        self,
        training: NDArray[np.float64],
        settings: ExactSettings,
        labels: NDArray[np.int8] | None,
        random_state: np.random.RandomState,
    ) -> None:
        self._bins = {
            feature: Bins(column, bin_borders(column, settings.discretizer, labels, random_state))
            for feature, column in enumerate(training.T)
            if feature not in settings.categorical_features
        }
        self._shares = [
            Shares(self._bins[feature].code(column) if feature in self._bins else column)
            for feature, column in enumerate(training.T)
        ]

    def sample(
        self, row: NDArray[np.float64], count: int, random_state: np.random.RandomState
    ) -> Neighbourhood:
        """Return `count` samples of a (k,) event: first all bins, then all values."""
        inputs = np.empty((count, len(row)))
        design = np.empty_like(inputs)
        drawn = [shares.draw(count, random_state) for shares in self._shares]
        for feature, codes in enumerate(drawn):
            if feature in self._bins:
                design[:, feature] = codes == self._bins[feature].code(row[feature])
                inputs[1:, feature] = self._bins[feature].draw(codes[1:], random_state)
            else:
                design[:, feature] = codes == row[feature]
                inputs[:, feature] = codes
        design[0] = 1
        inputs[0] = row
        return Neighbourhood(inputs, design)


class ContinuousSampler:
    """Adds normal noise of the training data's deviation to their mean, or to the event."""

    def __init__(self, training: NDArray[np.float64], settings: ExactSettings) -> None:
        scaler = StandardScaler().fit(training)
        self._mean: NDArray[np.float64] = scaler.mean_
        self._scale: NDArray[np.float64] = scaler.scale_
        self._around_instance = settings.sample_around_instance
        self._categorical = list(settings.categorical_features)
        self._mean[self._categorical] = 0
        self._scale[self._categorical] = 1
        self._shares = [Shares(training[:, feature]) for feature in self._categorical]

    def sample(
        self, row: NDArray[np.float64], count: int, random_state: np.random.RandomState
    ) -> Neighbourhood:
        """Return `count` samples of a (k,) event: first all noise, then categorical values."""
        noise = random_state.standard_normal((count, len(row)))
        inputs = noise * self._scale + (row if self._around_instance else self._mean)
        inputs[0] = row
        design = (inputs - self._mean) / self._scale
        for feature, shares in zip(self._categorical, self._shares, strict=True):
            values = shares.draw(count, random_state)
            inputs[1:, feature] = values[1:]
            design[:, feature] = values == row[feature]
            design[0, feature] = 1
        return Neighbourhood(inputs, design)
