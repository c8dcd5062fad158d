"""Explanations: Weir's LIME beside the `lime` package, on the Handbook's champion.

The champion is trained on the Handbook's training week; 200 of its test week's flagged events are
explained, on one core. `lime` gets the same model by plain ONNX Runtime, one thread, and once more
by Weir's own engine, which is faster. Three questions:

* how many explanations a second: Weir at its own settings, `lime` at its defaults (5,000 samples)
  and at Weir's number of samples, in turns;
* are they the same over seeds: Jaccard's index of the five largest attributions;
* are they right: Spearman's rank correlation with exact Shapley values of the log-odds.

`lime` is asked for all features, since its defaults name ten of them; that is as fast.

What a flagged event costs inline is the whole of its record: LIME, reasons in words in two
languages, canonical JSON.
"""

import itertools
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy.stats import spearmanr  # type: ignore[import-untyped]

sys.path.pop(0)  # this folder, where this file would hide the package
sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.harness import DATA, arguments, report
from explain.lime.lime import Lime
from explain.lime.settings import ExplainSettings
from explain.quality.shapley import TreeShapley
from explain.record.parts import DecisionPart
from explain.record.reason_settings import ReasonSettings
from explain.writing.flagged import FlaggedEvents
from explain.writing.part_builders import thresholds_part
from inference.backends.cpu import CpuEngine
from inference.engine.onnx_session import load_session, run_session
from inference.engine.protocol import Outputs
from inference.forest.graph_forms import margin_given
from inference.packages.package import ModelPackage
from inference.policy.policy import Policy
from inference.training.train import train
from inference.training.training_set import TrainingSet
from weir.config.settings import Settings, load_settings
from weir.services.build_explainer import WriterMaker

EXAMPLE = Path(__file__).parents[1] / "examples" / "handbook" / "weir.toml"
TARGET, TARGET_SAME = 150.0, 30.0
EVENTS, SEEDS, TOP = 200, 20, 5
FLAGGED = 600
LIME_SAMPLES = 5_000

Explain = Callable[[NDArray[np.float32]], list[NDArray[np.float64]]]
"""From events (n, k) to the attributions (k,) of each."""


def main() -> None:
    """Measure, and report."""
    args = arguments(
        __doc__ or "", data={"type": Path, "default": DATA, "help": "folder with handbook/"}
    )
    if not (args.data / "handbook").is_dir():
        sys.exit(f"no Handbook data in {args.data}: name its parent folder with --data DIR")
    events, seeds, peers = (40, 5, 5) if args.quick else (EVENTS, SEEDS, EVENTS)
    settings = load_settings(EXAMPLE)
    with tempfile.TemporaryDirectory(prefix="weir-lime-") as folder:
        package, tests = champion(settings, args.data / "handbook", Path(folder))
        engine = CpuEngine(package)
        engine.warm_up()
        rows = flagged(engine, tests, events)
        weir = Lime(package, ExplainSettings())
        weir.warm_up()
        session = load_session(package.model, "plain")
        plain = lambda batch: run_session(session, batch).score  # noqa: E731
        fast = lambda batch: engine.infer(batch).score  # noqa: E731
        samples = ExplainSettings().samples
        contenders: dict[str, tuple[Explain, int]] = {
            "Weir": (by_weir(weir), len(rows)),
            "lime, defaults": (by_lime(package, plain, LIME_SAMPLES), 3),
            "lime, as many samples": (by_lime(package, plain, samples), 10),
            "lime, defaults, Weir's engine": (by_lime(package, fast, LIME_SAMPLES), 3),
            "lime, as many samples, Weir's engine": (by_lime(package, fast, samples), 10),
        }
        seconds = time_in_turns(contenders, rows, 3 if args.quick else 9)
        inline_us = 1e6 * inline_seconds(settings, package, rows, engine.infer(rows))
        forest = margin_given(package.model)[1].forest
        exact = TreeShapley(forest, weir.design.groups, package.background)(rows)
        quality = {
            "Weir": judged(
                [by_weir(Lime(package, ExplainSettings(seed=seed))) for seed in range(seeds)],
                rows,
                exact,
            ),
            "lime, defaults": judged(
                [by_lime(package, fast, LIME_SAMPLES, seed) for seed in range(seeds)],
                rows[:peers],
                exact[:peers],
            ),
        }
        explanations = weir.explain(rows)
    speed = {name: 1 / each for name, each in seconds.items()}
    ratios = {name: each / seconds["Weir"] for name, each in seconds.items() if name != "Weir"}
    figure = ratios["lime, defaults"]
    report(
        args,
        name="lime",
        figure=figure,
        unit="explanations for one of lime at its defaults, in the same time",
        target=TARGET,
        met=figure >= TARGET and ratios["lime, as many samples"] >= TARGET_SAME,
        details={
            "explanations_per_s": speed,
            "times_faster": ratios,
            "inline_us": inline_us,
            "quality": quality,
            "samples": samples,
            "events": len(rows),
            "lime_events_for_quality": peers,
            "seeds": seeds,
            "weir_says": {
                "r2": float(np.median([each.r2 for each in explanations])),
                "vsi": float(np.mean([each.vsi for each in explanations])),
                "confident": float(np.mean([each.confident for each in explanations])),
            },
        },
        text=f"{table(speed, ratios, quality)}\n\ninline, a flagged event with its record costs "
        f"{inline_us:.0f} µs",
    )


def champion(
    settings: Settings, data: Path, folder: Path
) -> tuple[ModelPackage, NDArray[np.float32]]:
    """Train on the Handbook's training week; return the package and the test week's features."""
    plan = settings.plan()
    golden = pq.read_table(data / "golden_features_2018-07-25_2018-08-14.parquet")
    wanted = ["TRANSACTION_ID", "TX_DATETIME", "TX_FRAUD"]
    joined = golden.join(
        pq.read_table(data / "transactions.parquet", columns=wanted), "TRANSACTION_ID"
    ).sort_by("TRANSACTION_ID")
    names = [name for name in golden.column_names if name != "TRANSACTION_ID"]
    matrix = np.column_stack([joined[name].to_numpy() for name in names]).astype(np.float32)
    times = joined["TX_DATETIME"].to_numpy().astype("datetime64[ms]")
    training, testing = times < np.datetime64("2018-08-01"), times >= np.datetime64("2018-08-08")
    rows = TrainingSet(
        matrix=matrix[training],
        labels=joined["TX_FRAUD"].to_numpy()[training].astype(np.int8),
        times=times[training].astype(np.int64),
        feature_names=tuple(names),
        feature_definitions=plan.schema(),
        feature_schema_hash=plan.schema_hash,
        data_sha256="0" * 64,
    )
    return train(rows, settings.training, folder, lambda stage, share: None), matrix[testing]


def flagged(engine: CpuEngine, rows: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """Some of the events that the model finds most suspicious."""
    worst = np.argsort(-engine.infer(rows).score)[:FLAGGED]
    chosen = np.random.default_rng(0).choice(worst, count, replace=False)
    return rows[np.sort(chosen)]


def by_weir(lime: Lime) -> Explain:
    """Weir's way."""
    return lambda rows: [np.array(each.attributions) for each in lime.explain(rows)]


def by_lime(
    package: ModelPackage,
    score: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    samples: int,
    seed: int = 0,
) -> Explain:
    """The package's way: its own explainer of tables, over the model's background rows."""
    from lime.lime_tabular import LimeTabularExplainer  # type: ignore[import-untyped]

    width = len(package.features.names)
    explainer = LimeTabularExplainer(package.background.astype(np.float64), random_state=seed)

    def probabilities(batch: NDArray[Any]) -> NDArray[np.float64]:
        fraud = score(batch.astype(np.float32)).astype(np.float64)
        return np.column_stack([1 - fraud, fraud])

    def explain(rows: NDArray[np.float32]) -> list[NDArray[np.float64]]:
        found = []
        for row in rows:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                explanation = explainer.explain_instance(
                    row.astype(np.float64), probabilities, num_features=width, num_samples=samples
                )
            attributions = np.zeros(width)
            for feature, weight in explanation.as_map()[1]:
                attributions[feature] = weight
            found.append(attributions)
        return found

    return explain


def inline_seconds(
    settings: Settings, package: ModelPackage, rows: NDArray[np.float32], answers: Outputs
) -> float:
    """Least seconds of a flagged event's record, one event at a time, as the scorer makes them."""
    reasons = ReasonSettings(file=EXAMPLE.with_name("reasons.toml"))
    writer = WriterMaker(settings.model_copy(update={"reasons": reasons}))(package, 1)
    policy = Policy(settings.policy, package.thresholds)
    bounds = thresholds_part(policy.review, policy.decline, policy.anomaly_review)
    decision = DecisionPart(outcome="review", policy="1", fallback=None, thresholds=bounds)

    def event(i: int) -> FlaggedEvents:
        row, number = slice(i, i + 1), np.array([i], np.int64)
        return FlaggedEvents(
            topic="events",
            partition=0,
            model=package.short_id,
            backend="cpu",
            precision="float32",
            names=package.features.names,
            ids=[i],
            keys=[i],
            times=number,
            offsets=number,
            features=rows[row],
            score=answers.score[row],
            probability=answers.probability[row],
            anomaly=answers.anomaly[row],
            decisions=[decision],
        )

    events = [event(i) for i in range(len(rows))]
    least = np.inf
    for _ in range(5):
        start = perf_counter()
        for each in events:
            writer.write(each)
        least = min(least, (perf_counter() - start) / len(events))
    return least


def time_in_turns(
    contenders: dict[str, tuple[Explain, int]], rows: NDArray[np.float32], turns: int
) -> dict[str, float]:
    """Return seconds per explanation, the least of some turns, in which all have their go."""
    least = dict.fromkeys(contenders, np.inf)
    for turn in range(turns):
        for name, (explain, count) in contenders.items():
            batch = np.roll(rows, -turn * count, axis=0)[:count]
            start = perf_counter()
            explain(batch)
            least[name] = min(least[name], (perf_counter() - start) / count)
    return least


def judged(
    over_seeds: Sequence[Explain], rows: NDArray[np.float32], exact: NDArray[np.float64]
) -> dict[str, float]:
    """Agreement between seeds, and with exact Shapley values; medians over events."""
    found = [explain(rows) for explain in over_seeds]
    agreement = []
    for event in range(len(rows)):
        tops = [set(np.argsort(-np.abs(each[event]))[:TOP].tolist()) for each in found]
        pairs = [len(a & b) / len(a | b) for a, b in itertools.combinations(tops, 2)]
        agreement.append(np.mean(pairs))
    ranks = [spearmanr(a, b)[0] for a, b in zip(found[0], exact, strict=True)]
    return {
        "jaccard": float(np.median(agreement)),
        "jaccard_mean": float(np.mean(agreement)),
        "spearman": float(np.median(ranks)),
    }


def table(
    speed: dict[str, float], ratios: dict[str, float], quality: dict[str, dict[str, float]]
) -> str:
    """The figures for people."""
    lines = [f"{'':38}{'a second':>10}{'Weir is':>10}"]
    for name, each in speed.items():
        ratio = f"{ratios[name]:9.0f}x" if name in ratios else ""
        lines.append(f"{name:38}{each:10.1f}{ratio}")
    lines.append(f"\n{'':38}{'Jaccard@5':>10}{'(mean)':>8}{'Spearman with Shapley':>23}")
    for name, each in quality.items():
        lines.append(
            f"{name:38}{each['jaccard']:10.3f}{each['jaccard_mean']:8.3f}{each['spearman']:23.3f}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
