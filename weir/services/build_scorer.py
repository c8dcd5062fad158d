"""Puts the scorer together, in either topology."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from threading import Event, Thread
from time import monotonic
from typing import Protocol

from prometheus_client import CollectorRegistry

from inference.backends.golden_batch import check_golden
from inference.backends.selection import open_engine
from inference.backends.tensorrt.callbacks import Cancelled, Progress
from inference.packages.package import ModelPackage, PackageError
from inference.packages.registry import CHAMPION_ALIAS, Registry, import_quietly
from inference.serving.answerer import Answerer
from inference.serving.commands import (
    ModelVersion,
    ScorerReport,
    Standing,
    encode,
    report_key,
    version_of,
)
from inference.serving.feature_compatibility import check_feature_compatibility
from inference.serving.fused_task import Scorer
from inference.serving.hot_swap import HotSwap, OpenModel
from inference.serving.metrics import ScorerMetrics
from inference.serving.policy import Policy, PolicySettings
from streams.base.bounded_calls import StoppedError
from streams.base.clock import now_ms
from streams.events.json_decoder import Decoder
from streams.features import FeatureState
from streams.formats import event_decoder
from streams.intake.intake import Intake
from streams.kafka.client import KafkaSettings, connect
from streams.kafka.control_topic import ControlReader, write_control
from streams.kafka.publisher import PublishError
from streams.kafka.topics import partitions_of
from streams.loop.fused_loop import FusedLoop
from streams.stages.worker.loop import StagedLoop
from streams.stages.worker.migration import Migration
from streams.stages.worker.network import StageNetwork
from weir.config.settings import Settings
from weir.services.build_explainer import inline_explainer
from weir.services.process_tuning import give_way

logger = logging.getLogger(__name__)

_RESTORING_MS = 60_000
_FOLLOWER_ENDS_S = 10.0
_BUILD_SAID_S = 5.0
_REPORT_S = 5.0
"""A report is worth no more: a scorer that is told to stop while the broker is away has to end."""


Note = Callable[[str], None]


class Loop(Protocol):
    """What runs until it is told to stop."""

    def run(self, stop: Event) -> None:
        """Run until `stop` is set."""

    def waits_for(self) -> list[str]:
        """Why no events are answered now, in words; nothing where they are. Any thread may ask."""

    def lag(self) -> dict[tuple[str, int], int]:
        """Records of each partition that were not answered yet a moment ago."""


@dataclass
class ScorerProcess:
    """The scorer's parts, ready to run.

    Attributes:
        report: how it says on the control topic what became of a command; None takes its last
            word back.
    """

    loop: Loop
    prometheus: CollectorRegistry
    metrics: ScorerMetrics
    answerer: Answerer
    hot_swap: HotSwap
    commands: ControlReader
    report: Callable[[ScorerReport | None], None]

    def waits_for(self) -> list[str]:
        """Why no events are answered now, in words; nothing where they are. Any thread may ask."""
        return self.loop.waits_for()

    def run(self, stop: Event) -> str:
        """Answer events, and carry out commands, until `stop` is set; what is true then.

        Raises:
            StoppedError: the transaction at hand did not end.
            Exception: see the loop's and `HotSwap.follow`.
        """
        failures: list[Exception] = []

        def follow() -> None:
            give_way()
            try:
                self.hot_swap.follow(self.commands, self.answerer, stop)
            except Exception as error:
                failures.append(error)
                stop.set()
            finally:
                self.commands.close()  # by nobody else: the client does not survive it in a read

        follower = Thread(target=follow, name="hot-swap", daemon=True)
        follower.start()
        stopped: StoppedError | None = None
        try:
            self.loop.run(stop)
        except StoppedError as error:
            stopped = error
        finally:
            stop.set()
            follower.join(_FOLLOWER_ENDS_S)
        if follower.is_alive():
            logger.warning(
                "a change of model or policy is still under way and is given up: whoever starts "
                "next takes it up"
            )
        else:
            self.hot_swap.close()
        if failures:
            raise failures[0]
        self.report(None)
        if stopped is not None:
            raise stopped
        return "the last transaction is committed"


def build_scorer(
    settings: Settings,
    kafka: KafkaSettings,
    registry: Registry,
    stop: Event,
    pinned: str | None = None,
    *,
    prometheus: CollectorRegistry | None = None,
    note: Note = lambda _: None,
) -> ScorerProcess:
    """Put the scorer of the settings' topology together, with the model that is champion now.

    Args:
        stop: set when the process is to end, also while an engine is built.
        prometheus: what its metrics are registered with; a new one by default.
        note: told what takes its time, such as ``fetching model 3``.
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
    report = _reporter(settings, kafka)
    explains = inline_explainer(settings, prometheus)
    hot_swap = HotSwap(
        plan.names,
        partial(_open_model, settings, registry, cancelled=stop.is_set, note=note),
        settings.policy,
        report,
        metrics,
        pinned=pinned is not None,
        explains=explains,
    )
    note("reading the control topic")
    commands = ControlReader(kafka, settings.topics.control)
    serving = hot_swap.begin(
        commands.read_to_end(Standing().counts),
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
    )
    note("making the feature windows ready")
    new_loop = _fused_loop if settings.loop.topology == "fused" else _staged_loop
    loop = new_loop(settings, kafka, answerer, metrics)
    metrics.watch_lag(loop.lag)
    return ScorerProcess(loop, prometheus, metrics, answerer, hot_swap, commands, report)


def check_model(
    settings: Settings, registry: Registry, version: ModelVersion, policy: PolicySettings
) -> None:
    """Do what a scorer does with a model before it answers by it.

    Raises:
        InferenceError: a scorer would refuse it.
    """
    model = _open_model(settings, registry, version)
    with model.engine:
        Policy(policy, model.package.thresholds)
        check_golden(model.engine, model.package, settings.plan().names)


def _open_model(
    settings: Settings,
    registry: Registry,
    version: ModelVersion,
    cancelled: Cancelled = lambda: False,
    note: Note = lambda _: None,
) -> OpenModel:
    plan = settings.plan()
    note(f"fetching model {version}")
    package = registry.resolve(version.version, version.package)
    if package.id != version.package:
        raise PackageError(
            f"version {version.version} in the registry is package {package.short_id}, not "
            f"{version.package[:12]}, which was promoted: promote it again"
        )
    check_feature_compatibility(plan, package)
    note(f"building the engine of model {version}")
    engine = open_engine(
        settings.engine,
        package,
        plan.names,
        data_dir=settings.data_dir,
        progress=_log_build(package),
        cancelled=cancelled,
    )
    return OpenModel(version, package, engine)


def _log_build(package: ModelPackage) -> Progress:
    last = monotonic()

    def progress(done: int, of: int) -> None:
        nonlocal last
        if monotonic() - last >= _BUILD_SAID_S:
            last = monotonic()
            logger.info(
                "building the engine of model %s: step %d of %d", package.short_id, done, of
            )

    return progress


def _reporter(settings: Settings, kafka: KafkaSettings) -> Callable[[ScorerReport | None], None]:
    key = report_key(settings.loop.transactional_id())

    def report(what: ScorerReport | None) -> None:
        try:
            value = None if what is None else encode(what)
            write_control(kafka, settings.topics.control, key, value, _REPORT_S)
        except PublishError as error:
            logger.warning("no report of model and policy: %s", error)

    return report


def _fused_loop(
    settings: Settings, kafka: KafkaSettings, answerer: Answerer, metrics: ScorerMetrics
) -> Loop:
    plan = settings.plan()
    scorer = Scorer(plan, settings.windows, answerer=answerer, metrics=metrics)
    scorer.warm_up()
    decoder = _event_decoder(settings, metrics)

    def new_intake() -> Intake:
        return Intake(
            settings.event,
            settings.topics.events,
            settings.topics.labels if plan.reads_labels else None,
            settings.alignment,
            now_ms,
            decoder=decoder,
        )

    return FusedLoop(
        kafka,
        settings.loop,
        new_intake=new_intake,
        task=scorer,
        snapshots=settings.snapshots,
        snapshot_topic=settings.topics.snapshots,
        observe_snapshot=metrics.observe_snapshot,
        observe_stage=metrics.stage.observe,
    )


def _staged_loop(
    settings: Settings, kafka: KafkaSettings, answerer: Answerer, metrics: ScorerMetrics
) -> Loop:
    plan, topics = settings.staged_plan(), settings.topics
    FeatureState(plan.whole, settings.windows).warm_up()
    loop, alignment = settings.loop, settings.alignment
    # Nobody else has the partitions of a worker that died before this has passed.
    back_after = loop.session_timeout + loop.transaction_timeout + _RESTORING_MS
    decoder = _event_decoder(settings, metrics)
    network = StageNetwork(
        kafka,
        plan,
        topics=topics,
        stages=settings.stages,
        counts=partitions_of(
            connect(kafka), [topics.events, topics.labels, *settings.stage_topics()]
        ),
        windows=settings.windows,
        alignment=alignment.model_copy(update={"max_hold": max(alignment.max_hold, back_after)}),
        decoder=decoder,
        answer=answerer.answer,
        check=answerer.check,
        count=metrics.count_rejected,
        now_ms=now_ms,
    )
    migration = Migration(
        kafka,
        loop,
        settings.snapshots,
        plan,
        topics,
        settings.stages,
        plan.whole.history_ms + settings.windows.allowed_lateness,
        decoder,
    )
    return StagedLoop(
        kafka,
        settings.loop,
        topics=network.topics,
        new_task=network.new_task,
        committed=metrics.count_transaction,
        aborted=lambda reason: metrics.transactions.labels("aborted").inc(),
        observe=metrics.observe_state,
        claim=migration.claim,
        snapshots=settings.snapshots,
        snapshot_topic=topics.snapshots,
        observe_snapshot=metrics.observe_snapshot,
        note_restored=metrics.restored.inc,
        observe_stage=metrics.stage.observe,
    )


def _event_decoder(settings: Settings, metrics: ScorerMetrics) -> Decoder:
    return event_decoder(settings.event, settings.schema_registry, metrics.observe_schema_registry)
