"""The GPU engine by batch size, with and without CUDA graphs, beside others on the same card.

For a machine with an NVIDIA GPU and TensorRT or TensorRT-RTX; elsewhere, or with --dry-run, all of
it runs on a device in memory, which proves the script and measures nothing. The result is also
written to benchmarks/results/, but for a dry run.

The others are ONNX Runtime, where its GPU build is installed, and PyTorch, where that is: launched
operator by operator, and as CUDA graphs. A dry run has PyTorch on the CPU. What PyTorch answers is
compared with the engine's answers before it is timed.

A package of the default size is trained on made-up payments, unless --package names the folder of
one (a GPU machine need not be able to train).

The floor is arithmetic, not measured: what the card's launches take at least, or the time of the
batch's copies and products at the rates given by --gbps, --tflops and --launch-us, if that is more.
Their defaults are those of an H200.

The figure is the rows/s of the largest batch with CUDA graphs.
"""

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import numpy_helper

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.harness import arguments, hardware, report
from inference.backends.tensorrt.driver import NoGpuError, probe
from inference.backends.tensorrt.engine import GRAPH, LAUNCHES, TensorRtEngine
from inference.backends.tensorrt.opening import open_tensorrt
from inference.engine.protocol import TOLERANCE, Engine, Outputs
from inference.engine.settings import EngineSettings
from inference.packages.package import ModelPackage
from tests.inference.backends.tensorrt.in_memory import open_in_memory

RESULTS = Path(__file__).parent / "results"
_FLOAT = 4

Contender = Callable[[NDArray[np.float32]], object]
Answerer = Callable[[NDArray[np.float32]], Outputs]


def main() -> None:
    """Measure, and report."""
    args = arguments(
        "GPU engine",
        **{
            "dry-run": {"action": "store_true", "help": "on a device in memory"},
            "package": {"type": Path, "help": "folder of a model package"},
            "backend": {"default": "auto", "help": "tensorrt or tensorrt_rtx"},
            "cuda": {"default": "cuda-bindings", "help": "or pycuda"},
            "gbps": {"type": float, "default": 50.0, "help": "copies, gigabytes a second"},
            "tflops": {"type": float, "default": 60.0, "help": "float32 products"},
            "launch-us": {"type": float, "default": 15.0, "help": "of a small batch"},
        },
    )
    try:
        gpu = None if args.dry_run else probe()
    except NoGpuError as error:
        print(f"a dry run, since {error}", file=sys.stderr)
        gpu = None
    settings = EngineSettings(backend=args.backend, cuda=args.cuda)
    seconds = 0.02 if gpu is None else (0.3 if args.quick else 2.0)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        package = ModelPackage.load(args.package) if args.package else trained(Path(folder))
        contenders: dict[str, Contender] = {}
        engine: TensorRtEngine | None = None
        for graphs in (True, False):
            chosen = settings.model_copy(update={"cuda_graphs": graphs})
            opened = (
                open_in_memory(chosen, package)
                if gpu is None
                else open_tensorrt(
                    chosen, package, None, cache_dir=Path(folder) / "engines", gpu=gpu
                )
            )
            stack.enter_context(opened)
            engine = engine or opened
            contenders[f"{opened.info.backend}, {opened.info.routes[0]}"] = opened.infer
        contenders |= onnxruntime_cuda(package)
        torches = pytorch(package, on_gpu=gpu is not None)
        rows = np.resize(package.background, (settings.buckets[-1], engine.info.width))
        for name, run in torches.items():
            check(name, run, engine, rows, settings.buckets)
        contenders |= torches
        flops = flops_per_row(package)
        results = [
            {
                "rows": size,
                "floor_us": floor_us(size, engine.info.width, flops, args),
                **{name: measure(run, rows[:size], seconds) for name, run in contenders.items()},
            }
            for size in settings.buckets
        ]
        details: dict[str, Any] = {
            "device": engine.info.device,
            "gpu": None if gpu is None else vars(gpu),
            "backend": engine.info.backend,
            "cuda": "memory" if gpu is None else settings.cuda,
            "precision": engine.info.precision,
            "flops_per_row": flops,
            "dry_run": gpu is None,
            "buckets": results,
        }
    first = next(iter(contenders))
    if gpu is not None:
        path = RESULTS / f"{datetime.now(UTC).date()}-gpu-{engine.info.backend}.json"
        path.write_text(json.dumps({**details, "hardware": hardware()}, indent=2) + "\n")
        print(f"written to {path}", file=sys.stderr)
    report(
        args,
        name="GPU engine" if gpu is not None else "GPU engine, dry run",
        figure=results[-1][first]["rows_per_s"],
        unit="rows/s",
        target=None,
        met=None,
        details=details,
        text="\n".join(table(results, list(contenders))),
    )


def trained(folder: Path) -> ModelPackage:
    """Train a package of the default size, on few rows: speed does not depend on how good it is."""
    # Imported here: a GPU machine that was given a package need not have LightGBM.
    from benchmarks.cpu_engine import payments
    from inference.training.settings import TrainingSettings
    from inference.training.train import train

    settings = TrainingSettings(threads=1, refit=False)
    return train(payments(10_000), settings, folder, lambda stage, share: None)


def onnxruntime_cuda(package: ModelPackage) -> dict[str, Contender]:
    """ONNX Runtime on the same card, where its GPU build is installed."""
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        return {}
    session = onnxruntime.InferenceSession(package.tensors, providers=["CUDAExecutionProvider"])
    return {"onnxruntime CUDA": lambda rows: session.run(Outputs._fields, {"features": rows})}


def pytorch(package: ModelPackage, on_gpu: bool) -> dict[str, Answerer]:
    """PyTorch on the same card, or on the CPU; where it is installed, and knows the operators."""
    try:
        import torch
    except (ImportError, OSError) as error:  # its libraries may be missing, too
        print(f"without PyTorch: {error}", file=sys.stderr)
        return {}
    from benchmarks.torch_graph import TorchContender, UnknownOperatorError

    if on_gpu and not torch.cuda.is_available():
        print(f"without PyTorch: {torch.__version__} does not find the GPU", file=sys.stderr)
        return {}
    device = torch.device("cuda" if on_gpu else "cpu")
    routes = {GRAPH: True, LAUNCHES: False} if on_gpu else {LAUNCHES: False}
    try:
        return {
            f"PyTorch {torch.__version__}, {route}": TorchContender(package, device, captured)
            for route, captured in routes.items()
        }
    except UnknownOperatorError as error:
        print(f"without PyTorch: {error}", file=sys.stderr)
        return {}


def check(
    name: str, run: Answerer, engine: Engine, rows: NDArray[np.float32], sizes: Sequence[int]
) -> None:
    """Compare a contender's answers with the engine's, at every batch size.

    Raises:
        SystemExit: they differ, so that their times compare nothing.
    """
    for size in sizes:
        pairs = zip(run(rows[:size]), engine.infer(rows[:size]), strict=True)
        worst = max(float(np.abs(values - right).max()) for values, right in pairs)
        if not worst <= TOLERANCE["float32"]:  # also where it is no number
            raise SystemExit(
                f"{name} is off by {worst:g} in a batch of {size}: the benchmark compares nothing"
            )


def flops_per_row(package: ModelPackage) -> int:
    """Twice the elements of the matrices that a row is multiplied with; trees are walked."""
    assert package.tensors is not None  # the engine was opened from it
    graph = onnx.load_from_string(package.tensors).graph
    shapes = {tensor.name: numpy_helper.to_array(tensor).shape for tensor in graph.initializer}
    return sum(
        2 * int(np.prod(shapes[node.input[1]]))
        for node in graph.node
        if node.op_type in ("Gemm", "MatMul") and node.input[1] in shapes
    )


def floor_us(rows: int, width: int, flops: int, args: Any) -> float:
    """Return the least microseconds that a batch can take on paper."""
    copied = rows * _FLOAT * (width + len(Outputs._fields)) / (args.gbps * 1e3)
    return max(args.launch_us, copied + rows * flops / (args.tflops * 1e6))


def measure(run: Contender, rows: NDArray[np.float32], seconds: float) -> dict[str, float]:
    """Answer the same batch for a while; latencies in microseconds."""
    run(rows)
    with _quiet():
        taken = []
        until = time.perf_counter() + seconds
        while not taken or time.perf_counter() < until:
            began = time.perf_counter()
            run(rows)
            taken.append(time.perf_counter() - began)
    return {
        "rows_per_s": len(rows) / statistics.mean(taken),
        "p50_us": float(np.quantile(taken, 0.5)) * 1e6,
        "p99_us": float(np.quantile(taken, 0.99)) * 1e6,
        "batches": len(taken),
    }


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the garbage collector, whose pauses would be the latencies' tail."""
    import gc

    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def table(results: list[dict[str, Any]], names: list[str]) -> Iterator[str]:
    """Yield a line per batch size."""
    yield f"{'rows':>6} {'floor µs':>9}" + "".join(f"  {name:>34}" for name in names)
    for line in results:
        cells = (
            f"{each['p50_us']:,.0f} µs p50, {each['p99_us']:,.0f} p99".rjust(34)
            for each in (line[name] for name in names)
        )
        yield f"{line['rows']:>6} {line['floor_us']:>9.1f}  " + "  ".join(cells)


if __name__ == "__main__":
    main()
