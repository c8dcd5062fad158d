"""``weir bench``: how fast this machine is."""

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow.parquet as pq
import typer
from numpy.typing import NDArray
from rich.table import Table

from inference.backends.benchmark import Contestant, Timing, bench_engines, ratio
from inference.backends.cpu import CpuEngine
from inference.backends.selection import open_engine
from inference.engine.onnx_session import load_session, run_session
from inference.engine.protocol import BATCH_BUCKETS, Engine, EngineError
from inference.packages.package import ModelPackage
from inference.training.lightgbm_trees import fit_trees
from inference.training.train import train
from streams.files.event_file import open_events
from weir.cli.console import (
    ConfigOption,
    JsonOption,
    QuietOption,
    print_json,
    progress_bar,
    stdout,
    steps_bar,
)
from weir.config.settings import DEFAULT_FILE, EXAMPLE_FILE, Settings, load_settings
from weir.services.scorer_model import package_trials
from weir.services.wiring import open_registry
from weir.simulator import SimulatorSettings, simulate
from weir.training.registering import training_set

logger = logging.getLogger(__name__)

app = typer.Typer(help="How fast this machine is.", no_args_is_help=True)

_EVENTS = 30_000
_PLAIN, _PLAIN_ALL_CORES, _NATIVE = "onnxruntime", "onnxruntime, its own threads", "lightgbm"
_SLOWER = 1.05


@app.callback()
def bench() -> None:
    """How fast this machine is."""


@dataclass(frozen=True)
class _Subject:
    """A model, rows to answer, and its trees in their own library, where they are at hand."""

    package: ModelPackage
    rows: NDArray[np.float32]
    native: Contestant | None


@app.command()
def engine(
    config: ConfigOption = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Version or alias in the registry; else a model of 300 trees is trained on "
            "simulated payments.",
            show_default=False,
        ),
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.05, help="For each engine and batch size.")] = 0.5,
    as_json: JsonOption = False,
    no_progress: QuietOption = False,
) -> None:
    """Time every engine that this machine has, for each batch size: rows/s and latency.

    Beside them, on the same rows and in turns: plain ONNX Runtime on one thread, as the engines
    are, and with the threads that it takes by itself; and, for the model that is trained here,
    LightGBM on one thread, which computes the trees alone. A ratio is time over the faster of
    those two with one thread, turn by turn: below 1 is faster.
    """
    show = not (no_progress or as_json)
    settings = _settings(config)
    with tempfile.TemporaryDirectory(prefix="weir-bench-") as folder:
        subject = (
            _registered(settings, model)
            if model is not None
            else _trained(settings, Path(folder), show)
        )
        with (
            _contestants(settings, subject, Path(folder)) as (contestants, about),
            progress_bar("timing", show) as step,
        ):
            timings = bench_engines(contestants, subject.rows, BATCH_BUCKETS, seconds, step)
    ratios = _ratios(timings, list(about))
    if as_json:
        print_json(
            {
                "model": subject.package.id,
                "features": len(subject.package.features.names),
                "engines": about,
                "timings": {
                    name: {size: _as_dict(timing) for size, timing in by_size.items()}
                    for name, by_size in timings.items()
                },
                "time_over_the_faster_peer": ratios,
                "never_slower": all(
                    each <= _SLOWER for by_size in ratios.values() for each in by_size.values()
                ),
            }
        )
        return
    for name, facts in about.items():
        routes = ", ".join(dict.fromkeys(facts["routes"])) or "-"
        stdout.print(f"{name}: {facts['device']}, {facts['precision']}; routes: {routes}")
    stdout.print(_table(timings, ratios))


def _settings(config: Path | None) -> Settings:
    if config is None and not DEFAULT_FILE.is_file():
        config = EXAMPLE_FILE
    return load_settings(config)


def _registered(settings: Settings, name: str) -> _Subject:
    package = open_registry(settings).resolve(name)
    package_trials(settings)(package)
    return _Subject(package, _many(package.background), None)


def _trained(settings: Settings, folder: Path, show: bool) -> _Subject:
    """A model of the example's kind: its features and its 300 trees."""
    example = load_settings(EXAMPLE_FILE)
    path = folder / "payments.parquet"
    with steps_bar(show) as step:
        step("simulating payments", 0.0)
        pq.write_table(simulate(SimulatorSettings.for_events(_EVENTS)), path)
        file = open_events(path, example.event, example.labels.field)
        data = training_set(example, file, None, None, step)
        training = example.training.model_copy(update={"refit": True})
        package = train(data, training, folder / "packages", step)
        # The same trees once more: a package does not keep them as their library has them.
        (booster,) = fit_trees(
            data.matrix,
            data.labels,
            training.trees,
            seed=training.seed,
            threads=training.threads,
            progress=lambda share: step("fitting the same trees for their own library", share),
        )
    return _Subject(
        package,
        _many(data.matrix),
        lambda batch: booster.predict(batch, raw_score=True, num_threads=1),
    )


def _many(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """At least twice as many rows as the largest batch has."""
    times = -(-2 * BATCH_BUCKETS[-1] // len(rows))
    return np.ascontiguousarray(np.tile(rows, (times, 1)))


@contextmanager
def _contestants(
    settings: Settings, subject: _Subject, folder: Path
) -> Iterator[tuple[dict[str, Contestant], dict[str, dict[str, Any]]]]:
    """Engines and their peers, and what the engines say of themselves."""
    package = subject.package
    engines: list[Engine] = [CpuEngine(package, nvforest=settings.engine.nvforest)]
    try:
        gpu = settings.engine.model_copy(update={"allow_cpu": False})
        if gpu.backend != "cpu":
            engines.append(open_engine(gpu, package, None, data_dir=folder))
    except EngineError as error:
        logger.info("measuring no GPU engine: %s", error)
    plain = load_session(package.model, "plain ONNX Runtime")
    import onnxruntime  # after the room that switches its telemetry off

    own = onnxruntime.InferenceSession(package.model, providers=["CPUExecutionProvider"])
    contestants: dict[str, Contestant] = {}
    about = {}
    for each in engines:
        each.warm_up()
        name = f"weir {each.info.backend}"
        contestants[name] = each.infer
        about[name] = asdict(each.info)
    contestants[_PLAIN] = lambda batch: run_session(plain, batch)
    contestants[_PLAIN_ALL_CORES] = lambda batch: run_session(own, batch)
    if subject.native is not None:
        contestants[_NATIVE] = subject.native
    try:
        yield contestants, about
    finally:
        for each in reversed(engines):
            each.close()


def _as_dict(timing: Timing) -> dict[str, Any]:
    facts = asdict(timing)
    del facts["turns_us"]
    return facts


def _ratios(
    timings: dict[str, dict[int, Timing]], engines: list[str]
) -> dict[str, dict[int, float]]:
    peers = [timings[name] for name in (_PLAIN, _NATIVE) if name in timings]
    return {
        name: {
            size: round(ratio(timing, [peer[size] for peer in peers]), 3)
            for size, timing in timings[name].items()
        }
        for name in engines
    }


def _table(timings: dict[str, dict[int, Timing]], ratios: dict[str, dict[int, float]]) -> Table:
    table = Table("engine", title_justify="left")
    for column in ("batch", "p50 µs", "p99 µs", "rows/s", "ratio"):
        table.add_column(column, justify="right")
    for size in BATCH_BUCKETS:
        for name, by_size in timings.items():
            timing = by_size[size]
            over = f"{ratios[name][size]:.2f}" if name in ratios else ""
            table.add_row(
                name,
                f"{size:,}",
                f"{timing.p50_us:,.1f}",
                f"{timing.p99_us:,.1f}",
                f"{timing.rows_per_s:,}",
                over,
            )
        table.add_section()
    return table
