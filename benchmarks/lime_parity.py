"""The exact mode beside the `lime` package: how far apart they are, and how much faster it is.

Random payments of 30 features (counts, codes, a constant, mostly zeros) are explained for a model
of Weir's own trees, of the default size, by both on the same random stream, with 5,000 samples, in
four configurations, on one core. The largest difference is that of any weight, intercept, score
(R²) or local prediction. Both ask the same model by Weir's engine; the times without it tell the
explainers themselves apart.
"""

import statistics
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

sys.path.pop(0)  # this folder, whose lime.py would hide the package
sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.harness import arguments, report
from explain.exact.explainer import ExactLime
from explain.exact.settings import ExactSettings
from inference.backends.cpu import CpuEngine
from inference.engine.protocol import Engine
from inference.packages.package import ModelPackage
from inference.training.settings import TrainingSettings
from inference.training.train import train
from inference.training.training_set import TrainingSet
from tests.explain.lime_package import CONFIGURATIONS, PackageLime, difference, made_up_payments

FEATURES = 30
INSTANCES = 200
TARGET = 1e-9


class TimedModel:
    """A model that says how long it took in all."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.seconds = 0.0

    def __call__(self, inputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probability of fraud (n,) of float64 values (n, k)."""
        begun = perf_counter()
        answers = self._engine.infer(inputs.astype(np.float32)).probability.astype(np.float64)
        self.seconds += perf_counter() - begun
        return answers


def main() -> None:
    """Measure, and report."""
    args = arguments(__doc__ or "")
    instances = 5 if args.quick else INSTANCES
    training, risk = made_up_payments(np.random.default_rng(11), 20_000, FEATURES)
    labels = np.random.default_rng(12).random(len(training)) < risk(training) ** 2
    measured = {}
    with tempfile.TemporaryDirectory(prefix="weir-lime-parity-") as folder, threadpool_limits(1):
        package = train_on(training, labels, Path(folder))
        with CpuEngine(package) as engine:
            engine.warm_up()
            for name, settings in CONFIGURATIONS.items():
                measured[name] = compare(training, settings, TimedModel(engine), instances)
    worst = max(each["difference"] for each in measured.values())
    report(
        args,
        name="lime_parity",
        figure=worst,
        unit="largest difference from the lime package",
        target=TARGET,
        met=worst <= TARGET,
        details={"instances": instances, "features": FEATURES, "measured": measured},
        text=table(measured),
    )


def train_on(
    training: NDArray[np.float64], labels: NDArray[np.bool_], folder: Path
) -> ModelPackage:
    """Train a package of the default size."""
    data = TrainingSet(
        matrix=training.astype(np.float32),
        labels=labels.astype(np.int8),
        times=np.arange(len(training)),
        feature_names=tuple(f"feature_{i}" for i in range(training.shape[1])),
        feature_definitions={},
        feature_schema_hash="0" * 64,
        data_sha256="0" * 64,
    )
    settings = TrainingSettings(threads=1, refit=False)
    return train(data, settings, folder, lambda stage, share: None)


def compare(
    training: NDArray[np.float64], settings: ExactSettings, model: TimedModel, instances: int
) -> dict[str, Any]:
    """Explain the same rows by both, in turns; times are medians of milliseconds."""
    explainers = {
        "exact": ExactLime(training, settings, np.random.RandomState(13)),
        "lime": PackageLime(training, settings, np.random.RandomState(13)),
    }
    chosen = np.random.default_rng(14).choice(len(training), instances, replace=False)
    took: dict[str, list[tuple[float, float]]] = {name: [] for name in explainers}
    largest = 0.0
    for row in training[chosen]:
        found = {}
        for name, explainer in explainers.items():
            asked, begun = model.seconds, perf_counter()
            found[name] = explainer.explain(row, model)
            took[name].append((perf_counter() - begun, model.seconds - asked))
        largest = max(largest, difference(found["exact"], found["lime"]))
    result: dict[str, Any] = {"difference": largest}
    for name, times in took.items():
        result[f"{name}_ms"] = 1e3 * statistics.median(whole for whole, _ in times)
        result[f"{name}_own_ms"] = 1e3 * statistics.median(whole - part for whole, part in times)
    result["times_faster"] = result["lime_ms"] / result["exact_ms"]
    result["times_faster_own"] = result["lime_own_ms"] / result["exact_own_ms"]
    return result


def table(measured: dict[str, dict[str, Any]]) -> str:
    """Write one line per configuration."""
    lines = [
        f"{'configuration':<44}{'difference':>11}{'lime':>10}{'exact':>10}{'faster':>9}"
        f"{'without the model':>20}"
    ]
    for name, each in measured.items():
        lines.append(
            f"{name:<44}{each['difference']:>11.1e}{each['lime_ms']:>7.1f} ms"
            f"{each['exact_ms']:>7.1f} ms{each['times_faster']:>8.1f}x"
            f"{each['times_faster_own']:>19.1f}x"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
