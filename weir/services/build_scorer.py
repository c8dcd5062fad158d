"""Puts the scorer together, in either topology."""

import logging
from collections.abc import Callable
from contextlib import closing
from functools import partial
from threading import Event
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from inference.approve_through.approve_through import ApproveThrough
from inference.approve_through.metrics import ApproveThroughMetrics
from inference.approve_through.note_reader import last_note
from inference.control.arm_reports import ArmsReport, arms_key
from inference.control.canary import CanaryBook
from inference.control.commands import CommandError, ControlEntry, encode, read_command, version_of
from inference.control.erasures import ErasureBook
from inference.control.listener import ControlListener
from inference.control.reports import report_key
from inference.control.standing import Standing
from inference.packages.mlflow_connection import import_quietly
from inference.packages.registry import CHAMPION_ALIAS, Registry
from inference.policy.floor import BoundedPolicies
from inference.serving.answerer import Answerer
from inference.serving.arm_swap import ArmSwap
from inference.serving.hot_swap import HotSwap
from inference.serving.metrics import ScorerMetrics
from streams.base.clock import now_ms
from streams.features.erasures import Erasures
from streams.kafka.client import KafkaSettings
from streams.kafka.records.control_topic import ControlReader, write_control
from streams.kafka.records.publisher import PublishError
from weir.config.settings import Settings
from weir.services.build_explainer import inline_explainer
from weir.services.scorer_loops import fused_loop, staged_loop
from weir.services.scorer_model import Note, open_model, package_trials
from weir.services.scorer_process import ScorerProcess
from weir.services.wiring import command_keys

if TYPE_CHECKING:
    from streams.tracing.tracer import Tracer

logger = logging.getLogger(__name__)

_REPORT_S = 5.0
"""A report is worth no more: a scorer that is told to stop while the broker is away has to end."""


def build_scorer(
    settings: Settings,
    kafka: KafkaSettings,
    registry: Registry,
    stop: Event,
    pinned: str | None = None,
    *,
    prometheus: CollectorRegistry | None = None,
    note: Note = lambda _: None,
    tracer: "Tracer | None" = None,
) -> ScorerProcess:
    """Put the scorer of the settings' topology together, with the model that is champion now.

    Args:
        stop: set when the process is to end, also while an engine is built.
        prometheus: what its metrics are registered with; a new one by default.
        note: told what takes its time, such as ``fetching model 3``.
        tracer: see `Answerer`.
        pinned: a version or alias in the registry that answers instead, whatever the control
            topic says of models.

    Raises:
        InferenceError: there is no model that works with these settings.
        BuildCancelledError: `stop` was set while an engine was built.
        AuthorizationError: we may not read the control topic.
        KafkaException: the cluster failed.
    """
    note("importing the model registry")
    import_quietly()  # takes seconds, so not at the first swap to a model that has to be fetched
    plan = settings.plan()
    prometheus = prometheus or CollectorRegistry()
    metrics = ScorerMetrics(prometheus)
    say = _reporter(settings, kafka)
    worker = settings.loop.transactional_id()
    report = partial(say, report_key(worker))
    tried = package_trials(settings)
    policies = BoundedPolicies(settings.policy, settings.policy_floor)
    keys = command_keys(settings)
    standing = Standing(keys)
    if not keys.trusted:
        logger.warning(
            "signing.trusted_keys names nobody: whoever may write to topic %r commands model and "
            'policy, in anybody\'s name. See docs/control.md, "Who may command"',
            keys.topic,
        )
    explains = inline_explainer(settings, prometheus)
    superseded = Event()
    hot_swap = HotSwap(
        plan.names,
        open_model=partial(
            open_model,
            settings,
            registry,
            tried=tried,
            cancelled=lambda: stop.is_set() or superseded.is_set(),
            note=note,
        ),
        superseded=superseded,
        policies=policies,
        report=report,
        metrics=metrics,
        pinned=pinned is not None,
        explains=explains,
        standing=standing,
    )
    note("reading the control topic")
    erasures = Erasures()
    book = ErasureBook(
        keys,
        {name: field.type for name, field in settings.event.fields.items()},
        erasures,
        now_ms,
        lambda outcome: metrics.erasures.labels(outcome.replace(" ", "_")).inc(),
    )
    canary = CanaryBook(keys)
    commands = ControlListener(
        ControlReader(kafka, settings.topics.control), book.hear, canary.hear
    )
    serving = hot_swap.begin(
        commands.read_to_end(standing.counts),
        lambda: version_of(registry.get(pinned or CHAMPION_ALIAS)),
    )
    answerer = Answerer(
        settings.event,
        plan,
        serving=serving,
        topics=settings.topics,
        metrics=metrics,
        live_within_ms=settings.alignment.live_within,
        explains=explains,
        include=settings.feature_log.include,
        arm_patience_ms=settings.canary.patience,
        approve_through=_approve_through(settings, kafka, prometheus),
        tracer=tracer,
    )
    note("making the feature windows ready")
    new_loop = fused_loop if settings.loop.topology == "fused" else staged_loop
    loop = new_loop(settings, kafka, answerer, metrics, erasures)
    metrics.watch_lag(loop.lag)
    arms = None
    if pinned is None:
        arms = ArmSwap(
            plan.names,
            open_model=lambda version, unwanted: open_model(
                settings, registry, version, tried, lambda: stop.is_set() or unwanted()
            ),
            policies=policies,
            book=canary,
            report=partial(say, arms_key(worker)),
            last=_last_arms(settings, kafka, worker),
            explains=explains,
        )
    return ScorerProcess(loop, prometheus, metrics, answerer, hot_swap, commands, report, arms)


def _approve_through(
    settings: Settings, kafka: KafkaSettings, prometheus: CollectorRegistry
) -> ApproveThrough | None:
    """What approves would-be declines; None where that is off."""
    if settings.approve_through is None:
        return None
    return ApproveThrough(
        settings.approve_through,
        partial(last_note, kafka, settings.topics.feature_log),
        ApproveThroughMetrics(prometheus),
    )


def _last_arms(settings: Settings, kafka: KafkaSettings, worker: str) -> ArmsReport | None:
    """What this scorer said of arms before it started."""
    with closing(ControlReader(kafka, settings.topics.reports)) as reader:
        said = reader.read_to_end().get(arms_key(worker))
    try:
        return None if said is None else read_command(ArmsReport, said)
    except CommandError as error:
        logger.warning("%s", error)
        return None


def _reporter(
    settings: Settings, kafka: KafkaSettings
) -> Callable[[str, ControlEntry | None], None]:
    def report(key: str, what: ControlEntry | None) -> None:
        try:
            value = None if what is None else encode(what)
            write_control(kafka, settings.topics.reports, key, value, _REPORT_S)
        except PublishError as error:
            logger.warning(
                "can't write this scorer's report (%s) to topic %r: %s",
                key,
                settings.topics.reports,
                error,
            )

    return report
