"""Fits the anomaly model: an autoencoder that has only ever seen legitimate events."""

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from inference.training.scaling import dense_layers, robust_scale, scaled
from inference.training.settings import AutoencoderSettings

_LEVELS = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975, 0.99, 0.995, 0.999, 0.9995, 1.0)


@dataclass(frozen=True)
class Autoencoder:
    """A fitted autoencoder; every array is float32.

    A row x is imputed with `center`, scaled to z = clip((x - center) / scale), and put through the
    layers, relu between them. Its error is the mean over features of
    (z - layers(z))² / `residual`, and its anomaly the level of that error between the knots.

    Attributes:
        center: medians, shape (k,).
        scale: robust spreads, shape (k,).
        clip: bound of z.
        layers: (weights (in, out), bias (out,)) from input to output.
        residual: mean squared error by feature on legitimate rows, shape (k,).
        knots: rising errors, shape (m,).
        levels: their anomaly, from 0 to 1, shape (m,).
    """

    center: NDArray[np.float32]
    scale: NDArray[np.float32]
    clip: float
    layers: tuple[tuple[NDArray[np.float32], NDArray[np.float32]], ...]
    residual: NDArray[np.float32]
    knots: NDArray[np.float32]
    levels: NDArray[np.float32]


def fit_autoencoder(
    legitimate: NDArray[np.float32],
    held_out: NDArray[np.float32],
    settings: AutoencoderSettings,
    rng: np.random.Generator,
) -> Autoencoder:
    """Fit on legitimate rows (n, k), and read the error's quantiles on others (m, k).

    ``NaN`` is a missing value. The same rows, settings and generator state give the same bits: the
    linear algebra runs on one thread.
    """
    if len(legitimate) > settings.max_rows:
        chosen = np.sort(rng.choice(len(legitimate), settings.max_rows, replace=False))
        legitimate = legitimate[chosen]
    center, scale = robust_scale(legitimate)
    z = scaled(legitimate, center, scale, settings.clip)
    # Imported when needed: scikit-learn takes seconds, and every command would pay them.
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPRegressor

    network = MLPRegressor(
        hidden_layer_sizes=(settings.hidden, settings.bottleneck, settings.hidden),
        activation="relu",
        batch_size=min(settings.batch_size, len(z)),
        learning_rate_init=settings.learning_rate,
        max_iter=settings.epochs,
        n_iter_no_change=settings.epochs,
        random_state=int(rng.integers(2**31)),
    )
    with threadpool_limits(1), warnings.catch_warnings():
        # The budget of epochs is meant to end the fit.
        warnings.simplefilter("ignore", ConvergenceWarning)
        network.fit(z, z)
        layers = tuple(
            (np.asarray(weights, np.float32), np.asarray(bias, np.float32))
            for weights, bias in zip(network.coefs_, network.intercepts_, strict=True)
        )
        squares = (z - dense_layers(z, layers)) ** 2
        # A feature that is hard to predict for everybody says little about one event.
        residual = np.maximum(squares.mean(axis=0), np.float32(1e-3))
        other = scaled(held_out, center, scale, settings.clip)
        errors = ((other - dense_layers(other, layers)) ** 2 / residual).mean(axis=1)
    largest = errors.max()
    knots, levels = quantile_map(errors, np.float32(10) * max(largest, np.float32(1)))
    return Autoencoder(center, scale, settings.clip, layers, residual, knots, levels)


def quantile_map(
    errors: NDArray[np.float32], end: np.float32
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return knots and levels of errors (n,): empirical quantiles, and room above the largest.

    The largest legitimate error is at n / (n + 1) and `end` is 1, so that frauds beyond every
    legitimate event are still told apart.
    """
    knots = np.quantile(errors, _LEVELS).astype(np.float32)
    levels = np.array(_LEVELS) * len(errors) / (len(errors) + 1)
    knots = np.append(knots, end)
    levels = np.append(levels, 1.0)
    rising = np.append(True, np.diff(np.maximum.accumulate(knots)) > 0)
    return knots[rising], levels[rising].astype(np.float32)
