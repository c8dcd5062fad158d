"""A small world of payments to train on."""

import numpy as np

from inference.training.settings import AutoencoderSettings, TrainingSettings, TreeSettings
from inference.training.training_set import TrainingSet

NAMES = ("amount", "count_1d", "amount_7d", "hour", "risk_30d", "device_age")
START = 1_750_000_000_000


def payments(rows: int, seed: int = 3) -> TrainingSet:
    """Payments whose frauds are large, hasty and, at times, from risky merchants."""
    rng = np.random.default_rng(seed)
    amount = rng.lognormal(3.5, 0.8, rows)
    count = rng.poisson(3, rows).astype(float)
    risk = rng.beta(0.5, 12, rows)
    age = rng.exponential(200, rows)
    margin = -6.5 + 0.012 * amount + 0.35 * count + 9 * risk
    labels = (rng.random(rows) < 1 / (1 + np.exp(-margin))).astype(np.int8)
    age[rng.random(rows) < 0.15] = np.nan
    risk[rng.random(rows) < 0.05] = np.nan
    hour = rng.integers(0, 24, rows)
    matrix = np.column_stack([amount, count, amount * count, hour, risk, age])
    return TrainingSet(
        matrix=matrix.astype(np.float32),
        labels=labels,
        times=START + np.sort(rng.integers(0, 14 * 86_400_000, rows)),
        feature_names=NAMES,
        feature_definitions={"amount": {"field": "amount"}},
        feature_schema_hash="0" * 64,
        data_sha256="1" * 64,
    )


def quick_settings(**changes: object) -> TrainingSettings:
    """Settings that train in a second."""
    return TrainingSettings(
        threads=1,
        trees=TreeSettings(rounds=20, num_leaves=15),
        autoencoder=AutoencoderSettings(epochs=3, hidden=12, bottleneck=3),
        background_rows=50,
    ).model_copy(update=changes)
