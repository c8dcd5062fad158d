"""The CPU's engine beside plain ONNX Runtime and LightGBM, by batch size, on the same rows.

A package of the default size (300 trees of 16 leaves, autoencoder included) over 15 features is
trained on made-up payments. All contenders answer the same batches on one thread, in an order drawn
anew for each round, so that a busy machine slows all of them. LightGBM answers its margin alone: no
calibration, no anomaly.

The figure is the engine's least time over that of the fastest other, at the batch size where it
compares worst: on a shared machine a median says more about the other users than about the code.

With --settings: how ONNX Runtime's own settings change the time of its two graphs, which is where
those of `inference.engine.onnx_session.load_session` come from.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.harness import arguments, report
from inference.backends.cpu import CpuEngine
from inference.engine.onnx_session import BoundSession, load_session, run_session
from inference.engine.protocol import BATCH_BUCKETS, Outputs
from inference.forest.columns import TreeError
from inference.forest.compiled_forest import CompiledForest
from inference.forest.graph_forms import margin_given
from inference.forest.nvforest import NvForest
from inference.packages.package import ModelPackage
from inference.training.lightgbm_trees import fit_trees
from inference.training.settings import TrainingSettings
from inference.training.train import train
from inference.training.training_set import TrainingSet

FEATURES = 15
TARGET = 1.05
LIGHTGBM = "LightGBM, margin only"
COMPILED, NVFOREST = "Weir's trees, margin only", "nvForest, margin only"
"""Forms of the trees in Weir's own routes; nvForest where it is installed."""

Contender = Callable[[NDArray[np.float32]], object]


def main() -> None:
    """Measure, and report."""
    args = arguments(
        "CPU engine", settings={"action": "store_true", "help": "ONNX Runtime's settings too"}
    )
    rounds = 40 if args.quick else 200
    data = payments(10_000 if args.quick else 40_000)
    with tempfile.TemporaryDirectory() as folder:
        settings = TrainingSettings(threads=1, refit=False)
        package = train(data, settings, Path(folder), lambda stage, share: None)
        booster = fit_trees(
            data.matrix, data.labels, settings.trees, seed=7, threads=1, progress=lambda share: None
        )[0]
        plain = load_session(package.model, "plain ONNX Runtime")
        with CpuEngine(package) as engine:
            engine.warm_up()
            contenders: dict[str, Contender] = {
                "Weir": engine.infer,
                "ONNX Runtime": lambda rows: run_session(plain, rows),
                LIGHTGBM: lambda rows: booster.predict(rows, raw_score=True, num_threads=1),
            }
            trees = margin_given(package.model)[1].forest
            contenders[COMPILED] = CompiledForest(trees)
            with suppress(TreeError):
                contenders[NVFOREST] = NvForest(trees)
            measured = measure(contenders, data.matrix, rounds)
            routes = engine.info.routes
        tried = measure(variants(package), data.matrix, rounds // 4) if args.settings else {}
    ratios = {
        size: measured["Weir"][size]["least_us"]
        / min(measured[name][size]["least_us"] for name in ("ONNX Runtime", LIGHTGBM))
        for size in BATCH_BUCKETS
    }
    worst = max(ratios.values())
    report(
        args,
        name="cpu_engine",
        figure=worst,
        unit="of the time of the fastest other, at the worst batch size",
        target=TARGET,
        met=worst <= TARGET,
        details={
            "routes": dict(zip(BATCH_BUCKETS, routes, strict=True)),
            "ratio": ratios,
            "measured": measured,
            "settings": tried,
            "rounds": rounds,
        },
        text=table(measured) + (f"\n\n{table(tried)}" if tried else ""),
    )


def payments(rows: int) -> TrainingSet:
    """Return made-up payments: 15 features, some missing, frauds by three of them."""
    rng = np.random.default_rng(5)
    matrix = rng.lognormal(0, 1, (rows, FEATURES)).astype(np.float32)
    odds = matrix[:, :3].sum(axis=1) - 8
    matrix[:, 3:][rng.random((rows, FEATURES - 3)) < 0.05] = np.nan
    return TrainingSet(
        matrix=matrix,
        labels=(rng.random(rows) < 1 / (1 + np.exp(-odds))).astype(np.int8),
        times=np.arange(rows),
        feature_names=tuple(f"feature_{i}" for i in range(FEATURES)),
        feature_definitions={},
        feature_schema_hash="0" * 64,
        data_sha256="0" * 64,
    )


def measure(
    contenders: dict[str, Contender], matrix: NDArray[np.float32], rounds: int
) -> dict[str, dict[int, dict[str, float]]]:
    """Time every contender at every batch size, in microseconds a batch and rows a second."""
    rng = np.random.default_rng(1)
    result: dict[str, dict[int, dict[str, float]]] = {name: {} for name in contenders}
    for size in BATCH_BUCKETS:
        times: dict[str, list[float]] = {name: [] for name in contenders}
        for round_ in range(max(rounds * 32 // size, rounds // 4, 5)):
            rows = np.ascontiguousarray(matrix[rng.integers(0, len(matrix), size)])
            for name in rng.permutation(list(contenders)):
                start = time.perf_counter()
                contenders[name](rows)
                if round_ >= 2:  # the first calls of a size allocate
                    times[name].append((time.perf_counter() - start) * 1e6)
        for name, taken in times.items():
            p50 = statistics.median(taken)
            result[name][size] = {
                "least_us": min(taken),
                "p50_us": p50,
                "p99_us": float(np.quantile(taken, 0.99)),
                "rows_per_s": size / p50 * 1e6,
            }
    return result


def variants(package: ModelPackage) -> dict[str, Contender]:
    """Return both graphs under ONNX Runtime's settings, changed one at a time."""
    rest, trees, name = margin_given(package.model)
    forest = CompiledForest(trees.forest)
    changes: dict[str, dict[str, Any]] = {
        "as used": {},
        "no arena": {"enable_cpu_mem_arena": False},
        "no memory pattern": {"enable_mem_pattern": False},
        "2 threads": {"intra_op_num_threads": 2},
        "basic optimisation": {
            "graph_optimization_level": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        },
    }
    found: dict[str, Contender] = {}
    for label, change in changes.items():
        whole, cut = session(package.model, change), session(rest, change)
        found[f"whole, {label}"] = lambda rows, s=whole: s.run(Outputs._fields, {"features": rows})
        found[f"compiled trees, {label}"] = lambda rows, s=cut: s.run(
            Outputs._fields, {"features": rows, name: forest(rows).astype(np.float32)[:, None]}
        )
    fresh, kept = session(rest, {}), BoundSession(session(rest, {}), "features", name)

    def bound_anew(rows: NDArray[np.float32]) -> object:
        binding = fresh.io_binding()
        binding.bind_cpu_input("features", rows)
        binding.bind_cpu_input(name, forest(rows).astype(np.float32)[:, None])
        for output in Outputs._fields:
            binding.bind_output(output, "cpu")
        fresh.run_with_iobinding(binding)
        return binding.copy_outputs_to_cpu()

    return found | {
        "compiled trees, I/O binding anew": bound_anew,
        "compiled trees, I/O binding kept": lambda rows: kept(rows, forest(rows)[:, None]),
    }


def session(model: bytes, change: dict[str, Any]) -> onnxruntime.InferenceSession:
    """Load a graph as `load_session` does, but for a change."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    for option, value in change.items():
        setattr(options, option, value)
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def table(measured: dict[str, dict[int, dict[str, float]]]) -> str:
    """Return microseconds a row, by contender and batch size."""
    width = max(map(len, measured))
    lines = [
        " " * width + "".join(f"{size:>9}" for size in BATCH_BUCKETS) + "   µs a row, the least"
    ]
    for name, sizes in measured.items():
        for label, figure in (("", "least_us"), ("  median", "p50_us")):
            cells = "".join(f"{sizes[size][figure] / size:9.2f}" for size in BATCH_BUCKETS)
            lines.append(f"{label or name:{width}}{cells}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
