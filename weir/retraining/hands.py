"""What the retraining controller sees and does beside Kafka's topics of drift."""

import logging
from collections.abc import Sequence

from confluent_kafka import KafkaException

from inference.control.commands import ModelVersion
from inference.packages.mlflow_connection import RegistryAwayError
from inference.packages.registry import CHAMPION_ALIAS, Registry
from monitoring.retraining.events import Cancel, Command, Looked, Submit, TakeAway, TryOut
from monitoring.retraining.jobs.job import Runner, RunnerError
from monitoring.retraining.settings import RetrainingSettings
from monitoring.retraining.state import Cause, ControllerState, Job, TrainedModel, changed
from monitoring.retraining.step import hear_people, next_cause
from streams.base.clock import now_ms
from streams.kafka.authorization import is_denial
from streams.kafka.records.publisher import PublishError
from streams.transactions.errors import FencedError
from weir.retraining.board import RetrainingBoard
from weir.retraining.book import RetrainingBook
from weir.retraining.material import ArchiveMaterial
from weir.retraining.metrics import RetrainingMetrics

logger = logging.getLogger(__name__)

_AWAY = (RegistryAwayError, RunnerError, PublishError, FencedError)


class ControllerHands:
    """Looks, and does what was decided; what fails is tried again at the next look.

    Args:
        by: in whose name it speaks on the control topic.
    """

    def __init__(
        self,
        settings: RetrainingSettings,
        *,
        board: RetrainingBoard,
        book: RetrainingBook,
        registry: Registry,
        runner: Runner,
        material: ArchiveMaterial,
        metrics: RetrainingMetrics,
        by: str,
    ) -> None:
        self._settings = settings
        self._board = board
        self._book = book
        self._registry = registry
        self._runner = runner
        self._material = material
        self._metrics = metrics
        self._by = by
        self._said = ""

    def look(self, state: ControllerState) -> Looked | None:
        """What is found now; None where the registry, a runner or the cluster does not answer."""
        try:
            return self._look(state)
        except (*_AWAY, KafkaException) as error:
            self._let_pass(error)
            return None

    def carry_out(self, state: ControllerState, commands: Sequence[Command]) -> None:
        """Write down what was decided, then do it."""
        try:
            self._book.write_down(state)
            for command in commands:
                self._do(command)
        except (*_AWAY, KafkaException) as error:
            self._let_pass(error)

    def at_work(self, state: ControllerState | None) -> None:
        """Show what is known; None where another process is at work."""
        self._metrics.show(state)
        said = "" if state is None else state.waits_for
        if said and said != self._said:
            logger.info("no model is trained yet: %s", said)
        self._said = said

    def _look(self, state: ControllerState) -> Looked:
        board, job = self._board, state.job
        board.look()
        champion = board.champion or self._registered()
        # The runner first: what it says has ended may be in the registry a moment later.
        running = None if job is None else self._runner.state(job.key, job.attempt)
        said = board.said
        looked = Looked(
            champion=champion,
            paused=said is not None and said.paused,
            asked=self._asked(),
            said=0 if said is None else said.at,
            job=running,
            model=None if job is None or job.model is not None else self._trained(job),
            candidates={name: each.package for name, each in board.book.wanted.items()},
            left=board.book.left,
        )
        now = now_ms()
        cause = next_cause(hear_people(state, looked, now), champion, now, self._settings)
        if cause is None or champion is None:
            return looked
        self._book.look()
        if cause.id in self._book.decided and cause.id not in state.handled:
            why = f"another controller has decided a job because of {cause.id}"
            return changed(looked, hindrance=why)
        material = self._material.of(cause, champion, state.left_out)
        return changed(looked, material=material, hindrance=self._material.hindrance)

    def _asked(self) -> Cause | None:
        said = self._board.said
        if said is None or not said.asked:
            return None
        why = f"{said.by} asked for it" + (f": {said.note}" if said.note else "")
        return Cause("person", f"asked-{said.asked}", why)

    def _trained(self, job: Job) -> TrainedModel | None:
        found = self._registry.of_job(job.key)
        return None if found is None else TrainedModel(found.version, found.package_id)

    def _registered(self) -> str | None:
        if CHAMPION_ALIAS not in self._registry.aliases():
            return None
        return self._registry.get(CHAMPION_ALIAS).package_id

    def _do(self, command: Command) -> None:
        match command:
            case Submit(key, spec, attempt):
                logger.info("job %s: attempt %d, because of %s", key, attempt, spec.cause)
                self._runner.submit(key, spec, attempt)
            case Cancel(key):
                logger.info("job %s is to end", key)
                self._runner.cancel(key)
            case TryOut(candidate, model, why):
                logger.info("version %d is tried as %s: %s", model.version, candidate, why)
                version = ModelVersion(version=model.version, package=model.package)
                self._board.try_out(candidate, version, self._by, why)
            case TakeAway(candidate, _, why):
                logger.info("%s leaves the shadow: %s", candidate, why)
                self._board.take_away(candidate, self._by, why)

    def _let_pass(self, error: Exception) -> None:
        """Log what did not answer, and go on at the next look.

        Raises:
            KafkaException: we may not do it.
        """
        if isinstance(error, KafkaException) and is_denial(error.args[0]):
            raise error
        self._metrics.failures.inc()
        logger.warning("looking again: %s", error)
