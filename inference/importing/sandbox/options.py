"""What a user may say of a model that is to be imported."""

from dataclasses import dataclass
from typing import Literal

ScoreKind = Literal["probability", "logit"]
"""What a score is; logit for log-odds."""


@dataclass(frozen=True)
class ImportOptions:
    """What a user says of a model, where the file does not say it.

    Attributes:
        features, score, kind, fraud_class, anomaly: as in `Request`.
        anomaly_low: low values of the anomaly output are the anomalous ones.
        impute: ``"median"`` of the data, or a number, stands for missing values.
        scale: ``"data"``, or a JSON file of means and scales.
        calibrate: fit Platt scaling on the held-out rows.
    """

    features: tuple[str, ...] | None = None
    score: str | None = None
    kind: ScoreKind | None = None
    fraud_class: str | None = None
    anomaly: str | None = None
    anomaly_low: bool = False
    impute: str | None = None
    scale: str | None = None
    calibrate: bool = False
