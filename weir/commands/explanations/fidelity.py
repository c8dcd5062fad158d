"""`weir fidelity`: how right explanations are."""

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from prometheus_client import CollectorRegistry, Gauge, write_to_textfile
from rich.table import Table

from explain.errors import ExplainError
from explain.quality.event_sample import EventSample
from explain.quality.fidelity import Fidelity, measure
from explain.writing.flagged import read_flagged
from inference.engine.protocol import FeatureSelection
from inference.packages.package import ModelPackage
from inference.packages.registry import CHAMPION_ALIAS
from streams.kafka.client import KafkaSettings
from streams.kafka.records.consuming import read_to_end
from streams.kafka.rights.acls import acls_of
from streams.kafka.rights.process import Process
from weir.cli.console import (
    ConfigOption,
    JsonOption,
    QuietOption,
    Step,
    print_json,
    progress_bar,
    stdout,
)
from weir.config.settings import Settings, load_settings
from weir.services.scorer_model import package_trials
from weir.services.wiring import admitted, open_registry

_MEANS = {
    "spearman": "rank correlation with Shapley values",
    "jaccard": "agreement of the top groups over seeds",
    "vsi": "what the explanations say of that",
    "deletion": "log-odds while groups are taken away, largest first (lower is better)",
    "deletion_shapley": "  in the order of Shapley values",
    "deletion_random": "  in random order",
    "insertion": "log-odds while groups are put back, largest first (higher is better)",
    "insertion_shapley": "  in the order of Shapley values",
    "insertion_random": "  in random order",
}


def fidelity(
    config: ConfigOption = None,
    model: Annotated[str, typer.Option(help="Version or alias in the registry.")] = CHAMPION_ALIAS,
    events: Annotated[int, typer.Option(min=1, help="Flagged events to look at.")] = 100,
    seeds: Annotated[
        int, typer.Option(min=2, help="Explanations of each event, each with a seed of its own.")
    ] = 5,
    seed: Annotated[int, typer.Option(help="Seed for choosing the events.")] = 0,
    textfile: Annotated[
        Path | None, typer.Option(help="Write the figures here too, for Prometheus' node exporter.")
    ] = None,
    as_json: JsonOption = False,
    no_progress: QuietOption = False,
) -> None:
    """Measure how right explanations are, on a sample of flagged events.

    Takes events that a model has flagged from the feature log, and compares their explanations with
    exact Shapley values, with themselves under other seeds, and with what the model says when the
    groups are taken away or put back. Made to run once a night.
    """
    settings = load_settings(config)
    kafka, _ = admitted(settings, partial(acls_of, Process.FIDELITY))
    registry = open_registry(settings)
    registered = registry.get(model)
    package = registry.fetch(registered)
    package_trials(settings)(package)
    show = not (no_progress or as_json)
    with progress_bar("reading the feature log", show) as step:
        sample = _flagged(settings, kafka, package, EventSample(events, seed), step)
    if not sample.seen:
        raise ExplainError(
            f"{settings.topics.feature_log} holds no event that model {package.short_id} flagged: "
            "has it answered any? --model chooses another"
        )
    with progress_bar("comparing", show) as step:
        found = measure(
            package,
            settings.explain,
            sample.rows(),
            seeds=seeds,
            rng=np.random.default_rng(seed),
            progress=lambda share: step(round(share * 100), 100),
        )
    if textfile is not None:
        _write(textfile, package, found)
    if as_json:
        print_json({"model": package.id, "version": registered.version, **asdict(found)})
        return
    kind = "exact" if found.exact else "sampled"
    stdout.print(
        f"{found.events} of {sample.seen:,} flagged events of model {package.short_id} "
        f"(version {registered.version}), {seeds} seeds, {kind} Shapley values"
    )
    table = Table(show_header=False)
    for name, meaning in _MEANS.items():
        table.add_row(meaning, f"{getattr(found, name):.3f}")
    stdout.print(table)


def _flagged(
    settings: Settings, kafka: KafkaSettings, package: ModelPackage, sample: EventSample, step: Step
) -> EventSample:
    """Fill a sample of the events that a model has flagged, with its own columns."""
    for batch in read_to_end(kafka, settings.topics.feature_log, step):
        for message in batch:
            partition = message.partition() or 0
            try:
                events = read_flagged(message.value() or b"", partition, settings.explain.decisions)
            except ValueError:
                continue  # the explainer puts it into the dead letters
            if events.model == package.short_id and len(events):
                select = FeatureSelection(package.features.names, events.names)
                sample.add(partition, events.offsets.tolist(), select(events.features))
    return sample


def fidelity_gauges(registry: CollectorRegistry) -> dict[str, Gauge]:
    """What `--textfile` holds, by what was measured."""
    return {
        name: Gauge(f"weir_fidelity_{name}", meaning.strip(), ["model"], registry=registry)
        for name, meaning in _MEANS.items()
    }


def _write(path: Path, package: ModelPackage, found: Fidelity) -> None:
    registry = CollectorRegistry()
    values: dict[str, Any] = asdict(found)
    for name, gauge in fidelity_gauges(registry).items():
        gauge.labels(package.short_id).set(values[name])
    write_to_textfile(str(path), registry)
