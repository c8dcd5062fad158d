"""Hot swap: commands on the control topic change model and policy while events are answered.

The new engine is built, warmed and checked beside the old one, in a thread of its own; between two
batches it takes over, and the old one is closed. Commands are heard meanwhile: what is made ready
when a later one comes is given up, and looked at again if the later one is refused. Whatever is
wrong with a command, what served before goes on serving, and says so in a report on the topic of
reports, a metric and the log.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from threading import Event
from time import monotonic
from typing import Protocol

from inference.backends.tensorrt.errors import BuildCancelledError
from inference.control.commands import (
    CHAMPION_KEY,
    COMMAND_KEYS,
    POLICY_KEY,
    ChampionCommand,
    CommandError,
    ModelVersion,
    PolicyCommand,
    RefusedCommandError,
    read_command,
)
from inference.control.reports import Outcome, ScorerReport
from inference.control.standing import Standing
from inference.errors import InferenceError
from inference.packages.mlflow_connection import RegistryAwayError
from inference.policy.floor import BoundedPolicies
from inference.policy.policy import PolicyError, PolicySettings
from inference.routing.served_model import ServedModel
from inference.serving.explanation_seam import InlineExplainer
from inference.serving.following import Commands, follow, in_turn
from inference.serving.metrics import ScorerMetrics
from inference.serving.open_model import OpenModel
from inference.serving.status_reporter import StatusReporter
from streams.kafka.records.control_topic import ControlRecord

logger = logging.getLogger(__name__)

_AGAIN_S = 10.0


class Answering(Protocol):
    """What is told to answer by something else."""

    def swap(self, serving: ServedModel) -> None:
        """From the next batch on; on return nothing uses what served before."""


class HotSwap:
    """Decides what serves.

    Args:
        feature_names: of the vectors that engines take.
        open_model: fetches a version from the registry and builds an engine for it.
        policies: the one that holds while the control topic says nothing of a policy, and what
            bounds the others.
        report: says on the topic of reports what became of a command.
        standing: which commands count.
        pinned: commands for another model are not for this scorer.
        explains: made ready for each model before it serves.
        superseded: set when a command comes while a model is made ready; `open_model` and what it
            opens then raise `BuildCancelledError`.
    """

    def __init__(
        self,
        feature_names: Sequence[str],
        *,
        open_model: Callable[[ModelVersion], OpenModel],
        policies: BoundedPolicies,
        report: Callable[[ScorerReport], None],
        metrics: ScorerMetrics,
        pinned: bool = False,
        explains: InlineExplainer | None = None,
        standing: Standing | None = None,
        superseded: Event | None = None,
    ) -> None:
        self._feature_names = feature_names
        self._open_model = open_model
        self._policies = policies
        self._status = StatusReporter(report)
        self._metrics = metrics
        self._pinned = pinned
        self._explains = explains
        self._model: OpenModel
        self._serving: ServedModel
        self._standing = standing or Standing()
        self._superseded = superseded or Event()
        self._given_up = False
        self._postponed: list[ControlRecord] = []
        self._again_at = 0.0

    def begin(
        self, latest: Mapping[str, ControlRecord], registered: Callable[[], ModelVersion]
    ) -> ServedModel:
        """What serves at a start: the latest champion that works, under the latest policy.

        Args:
            latest: the control topic's records by key, of those that count.
            registered: the model to begin with where no command names one, or it is pinned.

        Raises:
            InferenceError: there is no model that works.
            BuildCancelledError: we were told to stop while an engine was built.
        """
        for key in COMMAND_KEYS:
            if key in latest:
                self._standing.admit(latest[key])
                self._status.heard[key] = latest[key].offset
        policies = [self._policies.own]
        try:
            if (record := latest.get(POLICY_KEY)) and (said := read_command(PolicyCommand, record)):
                policies.insert(0, said.policy)
        except CommandError as error:
            logger.error("%s; using the policy of the settings", error)
        candidates = self._candidates(latest.get(CHAMPION_KEY), registered)
        refusals: list[tuple[ModelVersion, Exception]] = []
        for version in candidates:
            try:
                self._model = self._open_model(version)
                self._serving = self._made_ready(self._model, policies)
                break
            except BuildCancelledError:
                raise
            except Exception as error:
                refusals.append((version, error))
                logger.error("model %s can't serve: %s", version, error)
                if isinstance(error, RegistryAwayError) and CHAMPION_KEY in latest:
                    self._postpone(latest[CHAMPION_KEY])
        else:
            raise refusals[0][1]
        for refused, problem in refusals:
            again = isinstance(problem, RegistryAwayError) and CHAMPION_KEY in latest
            self._say("refused", refused, policies[0].version, str(problem), again)
        if not refusals:
            self._say("serving", version, self._serving.policy.version)
        return self._serving

    def follow(self, commands: Commands, answering: Answering, stop: Event) -> None:
        """Carry out commands until `stop` is set.

        Raises:
            AuthorizationError: we may not read the control topic any more.
            KafkaException: the cluster failed for good.
        """
        follow(
            commands,
            lambda heard: self.carry_out(heard, answering),
            postponed=lambda: bool(self._postponed),
            trusted=self._standing.trusts,
            superseded=self._superseded,
            show_life=self._status.show_life,
            stop=stop,
        )

    def close(self) -> None:
        """Free the engine that serves."""
        self._serving.engine.close()

    def carry_out(self, records: Iterable[ControlRecord], answering: Answering) -> None:
        """Carry out commands, of each kind the latest that works, and those that had to wait.

        Where the latest is bad, the one before it counts, though both came at once: two scorers
        that read the same topic at different times come to the same end. A command whose author
        saw another champion or policy than stood before it counts for nothing.
        """
        for record in records:
            if record.key not in COMMAND_KEYS:
                continue
            try:
                self._standing.admit(record)
            except RefusedCommandError as error:
                self._refuse_command(record, error)
                continue
            self._postponed.append(record)
            self._again_at = 0.0
        if not self._postponed or monotonic() < self._again_at:
            return
        waiting, self._postponed = self._postponed, []
        newest = {record.key: record.offset for record in waiting}
        keys = in_turn(waiting, self._fits)
        self._given_up = False
        for key in keys:
            self._status.heard[key] = max(newest[key], self._status.heard.get(key, -1))
            refusals: list[ScorerReport] = []
            of_key = [each for each in waiting if each.key == key]
            while of_key:
                if self._carried_out(of_key[-1], answering):
                    break
                refusals.append(self._status.last)
                of_key.pop()
            if self._given_up:
                self._postponed += of_key  # with those before it, should it be refused
            if refusals and refusals[-1] is not self._status.last:  # an older one works
                self._status.say_of_the_latest(refusals[0])

    def _fits(self, record: ControlRecord) -> bool:
        """Whether a policy need not wait for the model that was given up."""
        if not self._given_up:
            return False
        try:
            said = read_command(PolicyCommand, record)
            policy = said.policy if said else self._policies.own
            self._policies.fit(policy, self._model.package.thresholds)
        except (CommandError, PolicyError):
            return False
        return True

    def _carried_out(self, record: ControlRecord, answering: Answering) -> bool:
        """Whether a command needs no other one in its place."""
        version, policy = self._model.version, self._serving.policy.settings
        try:
            if record.key == POLICY_KEY:
                said = read_command(PolicyCommand, record)
                policy = said.policy if said else self._policies.own
            elif (champion := read_command(ChampionCommand, record)) and not self._pinned:
                version = champion.model
            self._change(version, policy, answering)
        except BuildCancelledError:
            self._given_up = self._superseded.is_set()
            if self._given_up:
                logger.info("giving up model %s for now: a later command came", version)
                self._again_at = 0.0
            else:
                logger.info("stopping before model %s is ready: the next start loads it", version)
        except RegistryAwayError as error:
            logger.error("can't load model %s yet: %s; trying again", version, error)
            self._postpone(record)
            self._metrics.model_changes.labels("postponed").inc()
            reason = f"{error}; it is tried again"
            self._say("refused", version, policy.version, reason, again=True)
            return False
        except Exception as error:
            logger.error(
                "refused a change of model or policy: %s; still serving model %s with policy %s",
                error,
                self._serving.model,
                self._serving.policy.version,
            )
            self._refuse(version, policy.version, str(error) or type(error).__name__)
            return False
        return True

    def _refuse_command(self, record: ControlRecord, error: RefusedCommandError) -> None:
        logger.error("refused: %s", error)
        self._status.heard[record.key] = record.offset
        asked, policy = error.named, self._serving.policy.version
        if isinstance(asked, ModelVersion):
            self._refuse(asked, policy, str(error))
        else:
            self._refuse(self._model.version, policy if asked is None else str(asked), str(error))

    def _change(self, version: ModelVersion, policy: PolicySettings, answering: Answering) -> None:
        before = self._model
        if version.package == before.version.package:
            if policy == self._serving.policy.settings:
                self._say("serving", version, policy.version)  # whoever asked waits for a word
                return
            model = before
            serving = ServedModel(
                version.package,
                before.engine,
                self._policies.fit(policy, before.package.thresholds),
                self._serving.latency,
            )
        else:
            model = self._open_model(version)
            serving = self._made_ready(model, [policy])
        answering.swap(serving)
        self._model, self._serving = model, serving
        if model is not before:
            before.engine.close()
        logger.info("now serving model %s with policy %s", serving.model, policy.version)
        self._metrics.model_changes.labels("serving").inc()
        self._say("serving", version, policy.version)

    def _made_ready(self, model: OpenModel, policies: Sequence[PolicySettings]) -> ServedModel:
        return model.made_ready(self._feature_names, policies, self._explains, self._policies.fit)

    def _candidates(
        self, record: ControlRecord | None, registered: Callable[[], ModelVersion]
    ) -> Iterator[ModelVersion]:
        """The models to begin with, one after the other until one works.

        The registry, which may be away, is asked only when no other is left.
        """
        champion = None
        if record is not None and not self._pinned:
            try:
                champion = read_command(ChampionCommand, record)
            except CommandError as error:
                logger.error("%s; using the registry's champion", error)
        named = [] if champion is None else [champion.model, *reversed(champion.before)]
        yield from dict.fromkeys(named)
        try:
            last = registered()
        except InferenceError:
            if named:
                return  # what is wrong with those says more
            raise
        if last not in named:
            yield last

    def _postpone(self, record: ControlRecord) -> None:
        if record not in self._postponed:
            self._postponed.append(record)
        self._again_at = monotonic() + _AGAIN_S

    def _refuse(self, version: ModelVersion, policy: str, reason: str) -> None:
        self._metrics.model_changes.labels("refused").inc()
        self._say("refused", version, policy, reason)

    def _say(
        self,
        outcome: Outcome,
        version: ModelVersion,
        policy: str,
        reason: str = "",
        again: bool = False,
    ) -> None:
        self._status.say(outcome, self._serving, version, policy, reason, again)
