"""What goes into an imported model's package beside its graph: the tensor form and the card."""

import importlib.metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.engine.protocol import Outputs
from inference.importing.sandbox.golden import difference
from inference.importing.sandbox.inspection import Inspection
from inference.importing.sandbox.options import ImportOptions
from inference.importing.sandbox.sandbox import run_apart, tensor_form_apart
from inference.importing.static.limits import Limits
from inference.packages.package import FORMAT, Card, ImportedModel, TrainingData
from inference.training.settings import TrainingSettings
from inference.training.training_set import TrainingSet

_LIBRARIES = ("numpy", "onnx", "onnxruntime", "scikit-learn")
_TENSOR_TOLERANCE = 1e-5


def tensor_form(
    path: Path, model: bytes, rows: NDArray[np.float32], answers: Outputs, limits: Limits
) -> tuple[bytes | None, str | None]:
    """Return the form for engines without ``ai.onnx.ml``, or why there is none; or neither.

    Neither: the graph itself is one of tensor operators alone.
    """
    tensors, reason = tensor_form_apart(model, limits, str(path))
    if tensors is None:
        return None, reason
    again = Outputs(**run_apart(tensors, rows, Outputs._fields, limits, str(path)))
    worst = max(difference(a, b) for a, b in zip(again, answers, strict=True))
    if worst > _TENSOR_TOLERANCE:
        return None, f"the tensor form's answers differ by up to {worst:.3g}"
    return tensors, None


def make_card(
    file: str,
    data: TrainingSet,
    settings: TrainingSettings,
    options: ImportOptions,
    found: Inspection,
    *,
    metrics: dict[str, float],
    tensors_left_out: str | None,
) -> Card:
    """Return the card of an imported model; the data are those of its yardsticks."""
    chosen: dict[str, Any] = {
        "anomaly": options.anomaly,
        "calibrate": options.calibrate,
        "impute": options.impute,
        "scale": options.scale,
    }
    unused = {"seed", "threads", "refit", "trees"}
    return Card(
        format=FORMAT,
        data=TrainingData(
            sha256=data.data_sha256,
            rows=len(data.labels),
            frauds=int(np.count_nonzero(data.labels)),
            first_time=int(data.times[0]),
            last_time=int(data.times[-1]),
        ),
        code_version=importlib.metadata.version("weir"),
        libraries={name: importlib.metadata.version(name) for name in _LIBRARIES},
        parameters=settings.model_dump(mode="json", exclude=unused) | {"import": chosen},
        seed=settings.seed,
        metrics=metrics,
        feature_schema_hash=data.feature_schema_hash,
        tensors_left_out=tensors_left_out,
        source=ImportedModel(
            file=file,
            sha256=found.sha256,
            producer=found.producer,
            opset=found.opset,
            score=found.score,
            score_kind=found.kind,
            checks=found.checks,
        ),
    )
