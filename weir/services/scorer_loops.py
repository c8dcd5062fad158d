"""The scorer's loop in either topology, put together from the settings."""

from functools import partial

from inference.serving.answerer import Answerer
from inference.serving.fused_task import Scorer
from inference.serving.metrics import ScorerMetrics
from streams.base.clock import now_ms
from streams.events.json_decoder import Decoder
from streams.events.record_headers import headers_among
from streams.features.erasures import Erasures
from streams.features.repeat_filter import RepeatFilter
from streams.features.state import FeatureState
from streams.formats import event_decoder
from streams.intake.intake import Intake
from streams.kafka.client import KafkaSettings, connect
from streams.loop.fused.loop import FusedLoop
from streams.stages.common.task import StageTask
from streams.stages.worker.loop import StagedLoop
from streams.stages.worker.migration import Migration
from streams.stages.worker.network import StageNetwork
from weir.config.settings import Settings
from weir.services.scorer_process import Loop
from weir.services.wiring import ensure_all_topics, scorer_roles

_RESTORING_MS = 60_000


def fused_loop(
    settings: Settings,
    kafka: KafkaSettings,
    answerer: Answerer,
    metrics: ScorerMetrics,
    erasures: Erasures,
) -> Loop:
    """One process that owns every partition."""
    plan = settings.plan()
    repeats = RepeatFilter.of(settings.event)
    scorer = Scorer(
        plan,
        settings.windows,
        answerer=answerer,
        metrics=metrics,
        repeats=repeats,
        erasures=erasures,
    )
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
            repeats=repeats,
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
        position_log=settings.topics.positions,
        widen=partial(_widen, settings, kafka),
        writes=_written(settings),
    )


def staged_loop(
    settings: Settings,
    kafka: KafkaSettings,
    answerer: Answerer,
    metrics: ScorerMetrics,
    erasures: Erasures,
) -> Loop:
    """A worker that shares the partitions of all stages with others."""
    plan, topics = settings.staged_plan(), settings.topics
    FeatureState(plan.whole, settings.windows).warm_up()
    if (repeats := RepeatFilter.of(settings.event)) is not None:
        repeats.warm_up()
    loop, alignment = settings.loop, settings.alignment
    # Nobody else has the partitions of a worker that died before this has passed.
    back_after = loop.session_timeout + loop.transaction_timeout + _RESTORING_MS
    decoder = _event_decoder(settings, metrics)
    network = StageNetwork(
        kafka,
        plan,
        topics=topics,
        stages=settings.stages,
        windows=settings.windows,
        alignment=alignment.model_copy(update={"max_hold": max(alignment.max_hold, back_after)}),
        decoder=decoder,
        answer=answerer.answer,
        check=answerer.check,
        count=metrics.count_routed,
        count_repeats=metrics.duplicates.inc,
        count_forgotten=metrics.forgotten_ids.inc,
        now_ms=now_ms,
        tolerant=settings.snapshots.tolerant,
        erasures=erasures,
    )

    def widen() -> None:
        _widen(settings, kafka)
        network.count_partitions()

    def new_task(topic: str, partition: int) -> StageTask:
        if topic == settings.stages.enriched:
            answerer.forget(partition)
        return network.new_task(topic, partition)

    migration = Migration(
        kafka,
        loop=loop,
        snapshots=settings.snapshots,
        plan=plan,
        topics=topics,
        stages=settings.stages,
        targets=network.targets,
        memory_ms=max(
            plan.whole.history_ms + settings.windows.allowed_lateness,
            settings.event.deduplicate or 0,
        ),
        decoder=decoder,
    )
    return StagedLoop(
        kafka,
        settings.loop,
        topics=network.topics,
        new_task=new_task,
        committed=metrics.count_transaction,
        aborted=lambda reason: metrics.transactions.labels("aborted").inc(),
        observe=metrics.observe_state,
        claim=migration.claim,
        snapshots=settings.snapshots,
        snapshot_topic=topics.snapshots,
        observe_snapshot=metrics.observe_snapshot,
        note_restored=metrics.restored.inc,
        observe_stage=metrics.stage.observe,
        position_log=topics.positions,
        widen=widen,
        writes=_written(settings),
        dead_letters=topics.dead_letters,
        rejected=metrics.count_rejected,
    )


def _widen(settings: Settings, kafka: KafkaSettings) -> None:
    ensure_all_topics(connect(kafka), settings, scorer_roles(settings))


def _written(settings: Settings) -> list[str]:
    topics = settings.topics
    answers = [topics.scores, topics.feature_log, topics.dead_letters, topics.positions]
    return answers + ([topics.explanations] if settings.explain.mode == "inline" else [])


def _event_decoder(settings: Settings, metrics: ScorerMetrics) -> Decoder:
    return event_decoder(
        settings.event,
        settings.schema_registry,
        metrics.observe_schema_registry,
        headers_among(settings.carried),
    )
