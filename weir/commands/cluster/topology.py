"""`weir topology`: what runs where."""

from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Group
from rich.table import Table

from streams.kafka.client import connect
from streams.kafka.topics.topic_partitions import partitions_of
from streams.stages.worker.overview import Stage, Worker, fused_stages, staged_stages, workers_of
from weir.cli.console import ConfigOption, JsonOption, Topology, print_json, stdout
from weir.config.settings import load_settings
from weir.services.wiring import kafka_settings


def topology(
    config: ConfigOption = None,
    topology: Annotated[
        Topology | None, typer.Option(help="Show this one; by default loop.topology.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Print what runs where: the stages, their topics, and the scorers that share them now."""
    overrides = {"loop": {"topology": topology.value}} if topology is not None else {}
    settings = load_settings(config, **overrides)
    admin = connect(kafka_settings(settings))
    if settings.loop.topology == "fused":
        stages = fused_stages(settings.plan(), settings.topics)
    else:
        stages = staged_stages(settings.staged_plan(), settings.topics, settings.stages)
    counts = partitions_of(admin, [topic for stage in stages for topic in stage.reads])
    workers = workers_of(admin, settings.loop.group)
    if as_json:
        print_json(
            {
                "topology": settings.loop.topology,
                "group": settings.loop.group,
                "stages": [
                    asdict(stage) | {"partitions": {t: counts.get(t) for t in stage.reads}}
                    for stage in stages
                ],
                "workers": [asdict(worker) for worker in workers],
            }
        )
        return
    stdout.print(f"{settings.loop.topology}, group {settings.loop.group}")
    stdout.print()
    stdout.print(_stage_table(stages, counts))
    stdout.print()
    stdout.print(_worker_table(workers) if workers else "no scorer runs")


def _stage_table(stages: list[Stage], counts: dict[str, int]) -> Table:
    table = Table("stage", "reads", "partitions", "windows of", "features", "writes")
    for stage in stages:
        table.add_row(
            stage.name,
            Group(*stage.reads),
            Group(*(str(counts.get(topic, "not there: weir topics")) for topic in stage.reads)),
            Group(*stage.state),
            str(len(stage.features)) if stage.features else "",
            Group(*stage.writes),
        )
    return table


def _worker_table(workers: list[Worker]) -> Table:
    table = Table("scorer", "host", "topic", "partitions")
    for worker in workers:
        for place, (topic, partitions) in enumerate(worker.partitions.items() or [("", [])]):
            table.add_row(
                worker.name if not place else "",
                worker.host if not place else "",
                topic,
                " ".join(map(str, partitions)) or "none",
            )
    return table
