"""`weir score`: the scorer."""

import logging
from enum import StrEnum
from typing import Annotated

import typer

from inference.backends.tensorrt.errors import BuildCancelledError
from streams.kafka.acls import Process, acls_of
from streams.kafka.permission_check import named_denials
from streams.kafka.topics import ROLES, SCORER_ROLES
from weir.cli.console import ConfigOption, Topology
from weir.config.settings import load_settings
from weir.services.build_scorer import build_scorer
from weir.services.metrics_server import MetricsPortOption, metrics_override, serving_metrics
from weir.services.process_tuning import share_the_lock, spare_the_collector
from weir.services.stopping import stop_on_signals
from weir.services.wiring import admitted, ensure_all_topics, open_registry, usage

logger = logging.getLogger(__name__)


class MissingHistory(StrEnum):
    """See `streams.snapshots.SnapshotSettings`."""

    FAIL = "fail"
    WARN = "warn"


def score(
    config: ConfigOption = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Version or alias in the registry, to answer with it whatever is promoted.",
            show_default="the champion",
        ),
    ] = None,
    metrics_port: MetricsPortOption = None,
    topology: Annotated[
        Topology | None,
        typer.Option(help="One scorer for everything, or any number that share the work."),
    ] = None,
    on_missing_history: Annotated[
        MissingHistory | None,
        typer.Option(help="What to do where input that the windows look back on has expired."),
    ] = None,
) -> None:
    """Score events exactly once, until SIGTERM or Ctrl-C.

    Reads the events topic (and the labels topic, where a feature needs it), writes scores, the
    feature log and dead letters, all in one Kafka transaction per batch. On SIGTERM it finishes
    the transaction at hand and leaves the group. A start restores the state from the last snapshot
    and the input after it. `weir models promote` and `weir policy set` change model and policy
    while it runs.

    With --topology staged, start as many as you like: they share the partitions of all stages, and
    a stage's state is restored from its topic. `weir topology` shows what runs where.
    """
    share_the_lock()
    stop = stop_on_signals()
    overrides = metrics_override(metrics_port)
    if on_missing_history is not None:
        overrides["snapshots"] = {"on_missing_history": on_missing_history.value}
    if topology is not None:
        overrides["loop"] = {"topology": topology.value}
    settings = load_settings(config, **overrides)
    rights = acls_of(Process.SCORER, usage(settings))
    kafka, admin = admitted(settings, lambda _: rights)
    inline = settings.explain.mode == "inline"
    ensure_all_topics(admin, settings, ROLES if inline else SCORER_ROLES)
    with named_denials(kafka, rights):
        try:
            scorer = build_scorer(settings, kafka, open_registry(settings), stop, model)
        except BuildCancelledError:
            logger.info("stopped while the engine was built: nothing was read yet")
            return
        with serving_metrics(settings.metrics, scorer.prometheus) as address:
            logger.info(
                "scoring %s with model %s, policy %s; metrics on %s",
                settings.topics.events,
                scorer.answerer.serving.model,
                scorer.answerer.serving.policy.version,
                address,
            )
            spare_the_collector()
            scorer.run(stop)
    logger.info("stopped: the last transaction is committed")
