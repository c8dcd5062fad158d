"""What MLflow keeps of a training: parameters, figures, data and the package."""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.csv

from inference.packages.package import ModelPackage, TrainingData
from inference.packages.search_record import SearchRecord, Trial
from streams.base.clock import now_ms

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient


@dataclass(frozen=True)
class RunDetails:
    """What a run shows beside the package.

    Attributes:
        trials: of the search that found its parameters; runs below its own.
        tables: by name, such as ``calibration``; each is a file of CSV.
        steps: figures by the step of training, such as a boosting round.
    """

    trials: Sequence[Trial] = ()
    tables: Mapping[str, pa.Table] = field(default_factory=dict)
    steps: Sequence[tuple[int, Mapping[str, float]]] = ()


def record_run(
    client: "MlflowClient",
    experiment_id: str,
    package: ModelPackage,
    artifact: str,
    details: RunDetails,
) -> str:
    """Write a run of an experiment and return its id.

    Args:
        artifact: the folder of the run in which the package is kept.
    """
    from mlflow.entities import Metric

    card = package.card
    run = client.create_run(experiment_id, run_name=package.short_id)
    run_id: str = run.info.run_id
    for name, value in _flatten(card.parameters).items():
        client.log_param(run_id, name, value)
    for name, value in card.metrics.items():
        client.log_metric(run_id, name, value)
    client.set_tag(run_id, "data_sha256", card.data.sha256)
    if card.data.version is not None:
        client.log_inputs(run_id, [_dataset(card.data)])
    client.log_artifacts(run_id, str(package.folder), artifact)
    for name, table in details.tables.items():
        sink = io.BytesIO()
        pa.csv.write_csv(table, sink)
        client.log_text(run_id, sink.getvalue().decode(), f"curves/{name}.csv")
    now = now_ms()
    steps = [
        Metric(name, value, now, step)
        for step, figures in details.steps
        for name, value in figures.items()
    ]
    client.log_batch(run_id, metrics=steps)
    _record_trials(client, experiment_id, run_id, card.searched, details.trials)
    client.set_terminated(run_id)
    return run_id


def _record_trials(
    client: "MlflowClient",
    experiment_id: str,
    parent: str,
    searched: SearchRecord | None,
    trials: Sequence[Trial],
) -> None:
    from mlflow.entities import Metric, Param
    from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

    for trial in trials:
        assert searched is not None
        run = client.create_run(
            experiment_id,
            start_time=trial.begun,
            tags={MLFLOW_PARENT_RUN_ID: parent, "failed": trial.failed}
            if trial.failed
            else {MLFLOW_PARENT_RUN_ID: parent},
            run_name=f"trial {trial.number}" if trial.number else "as set",
        )
        end = trial.begun + round(trial.seconds * 1_000)
        figures = {"seconds": trial.seconds}
        if not trial.failed:
            figures[searched.metric] = trial.figure
        client.log_batch(
            run.info.run_id,
            metrics=[Metric(name, value, end, 0) for name, value in figures.items()],
            params=[
                Param(name, str(value))
                for name, value in {"family": trial.family, **trial.parameters}.items()
            ],
        )
        status = "FAILED" if trial.failed else "FINISHED"
        client.set_terminated(run.info.run_id, status, end_time=end)


def _dataset(data: TrainingData) -> Any:
    """What MLflow shows as the data of a run; a digest there has at most 36 characters."""
    from mlflow.entities import Dataset, DatasetInput

    version = data.version
    assert version is not None
    dataset = Dataset(
        name="archive" if version.of_archive else "events",
        digest=data.sha256[:36],
        source_type="archive" if version.of_archive else "file",
        source=version.model_dump_json(exclude={"files"}),
        profile=json.dumps({"rows": data.rows, "frauds": data.frauds, "files": len(version.files)}),
    )
    return DatasetInput(dataset, [])


def _flatten(parameters: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested parameters under dotted names."""
    flat: dict[str, Any] = {}
    for name, value in parameters.items():
        if isinstance(value, dict):
            flat |= _flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat
