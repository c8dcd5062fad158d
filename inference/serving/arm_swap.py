"""Opens and closes the arms that the control topic names, while events are answered.

In a thread of its own: the champion's commands wait for no arm. Until an arm is ready, and where
it can't be opened, the champion answers for its keys. One that was stopped here stays stopped, also
after a restart: what this scorer last reported says so.
"""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Event
from time import monotonic
from typing import Protocol

from inference.backends.tensorrt.callbacks import Cancelled
from inference.control.arm_reports import ArmReport, ArmsReport, ArmState
from inference.control.canary import ArmShare, CanaryBook, CanaryCommand
from inference.control.commands import ModelVersion
from inference.control.reports import ALIVE_EVERY_S
from inference.packages.mlflow_connection import RegistryAwayError
from inference.policy.floor import BoundedPolicies
from inference.policy.policy import PolicyError
from inference.routing.arm import Arm
from inference.routing.served_model import ServedModel
from inference.serving.explanation_seam import InlineExplainer
from inference.serving.open_model import OpenModel
from streams.base.bounded_calls import in_thread
from streams.base.clock import now_ms
from streams.base.safe_text import safe_text

logger = logging.getLogger(__name__)

_LOOK_S = 0.2
_REPORT_S = 5.0
_AGAIN_S = 10.0


class Routes(Protocol):
    """What is told which arms answer; see `Answerer`."""

    @property
    def serving(self) -> ServedModel:
        """The champion, and its policy."""

    def route(
        self, experiment: str, arms: Sequence[tuple[str, Arm | None]], shares: Sequence[float]
    ) -> None:
        """From the next batch on; on return nothing uses other arms."""


@dataclass
class _Slot:
    """What became of an arm that is wanted."""

    name: str
    version: ModelVersion
    state: ArmState = "opening"
    reason: str = ""
    model: OpenModel | None = None
    arm: Arm | None = None
    opening: "Future[tuple[OpenModel, ServedModel]] | None" = None
    again_at: float = 0.0
    unwanted: Event = field(default_factory=Event)

    def refuse(self, reason: str) -> None:
        """Say why it answers nothing."""
        self.state, self.reason = "refused", safe_text(reason)

    def close(self) -> None:
        """Free its engine, once that is done with what it was asked; nobody waits for it."""
        self.unwanted.set()
        if self.arm is not None:
            self.arm.close()
        if self.model is not None:
            self.model.switch.off()
            in_thread(self.model.engine.close)
        elif self.opening is not None:
            self.opening.add_done_callback(_close_opened)
        self.model = self.arm = None


class ArmSwap:
    """Makes the arms what the control topic says.

    Args:
        feature_names: of the vectors that engines take.
        open_model: fetches a version from the registry and builds an engine for it, until it is
            told that nobody wants it any more.
        policies: resolve the policy that holds against an arm's own thresholds.
        book: which arms are wanted; it hears in another thread.
        report: says how they fare; None takes that back.
        last: what this scorer reported before it started.
        explains: made ready for each arm before it answers.
    """

    def __init__(
        self,
        feature_names: Sequence[str],
        *,
        open_model: Callable[[ModelVersion, Cancelled], OpenModel],
        policies: BoundedPolicies,
        book: CanaryBook,
        report: Callable[[ArmsReport | None], None],
        last: ArmsReport | None = None,
        explains: InlineExplainer | None = None,
    ) -> None:
        self._feature_names = feature_names
        self._open_model = open_model
        self._policies = policies
        self._book = book
        self._report = report
        self._last = last
        self._explains = explains
        self._slots: dict[str, _Slot] = {}
        self._gone: list[_Slot] = []
        self._experiment = ""
        self._begun = now_ms()
        self._routed: tuple[object, ...] = ()
        self._told: ArmsReport | None = last
        self._tell_at = self._repeat_at = 0.0

    def begin(self, routes: Routes) -> None:
        """Route by what stands, before the first event: till arms are ready, they are absent."""
        self._take_note(self._book.said)
        self._route(routes, self._book.said)

    def run(self, routes: Routes, ended: Event) -> None:
        """Follow the book until no event is answered any more; then close the arms.

        Whatever goes wrong here, the scorer goes on: it answers by what was routed last.
        """
        while not ended.is_set():
            try:
                self.step(routes)
                ended.wait(_LOOK_S)
            except Exception as error:
                what = safe_text(f"{type(error).__name__}: {error}")
                logger.error("can't see to the arms, trying again: %s", what)
                ended.wait(_AGAIN_S)
        self._close(routes)

    def step(self, routes: Routes) -> None:
        """Look once at what is wanted and how the arms fare, and do what there is to do."""
        wanted = self._book.said
        self._take_note(wanted)
        for slot in self._slots.values():
            self._see_to(slot, routes)
        self._route(routes, wanted)
        while self._gone:
            self._gone.pop().close()
        self._tell()

    def _take_note(self, wanted: CanaryCommand | None) -> None:
        """Make room for arms that are new, and note those that are no more wanted."""
        experiment = "" if wanted is None else wanted.experiment
        arms = {} if wanted is None else {arm.name: arm for arm in wanted.arms}
        other = experiment != self._experiment
        if other:
            self._experiment, self._begun = experiment, now_ms()
        gone = [
            slot
            for name, slot in self._slots.items()
            if other or name not in arms or arms[name].model.package != slot.version.package
        ]
        for slot in gone:
            del self._slots[slot.name]
            self._gone.append(slot)
            logger.info("arm %s (model %s) leaves", slot.name, slot.version)
        for name, share in arms.items():
            if name not in self._slots:
                self._slots[name] = self._new_slot(share)

    def _new_slot(self, share: ArmShare) -> _Slot:
        slot, last = _Slot(share.name, share.model), self._last
        if last is not None and last.experiment == self._experiment:
            for before in last.arms:
                same = (before.name, before.model) == (share.name, share.model.package)
                if same and before.state == "stopped":
                    slot.state, slot.reason = "stopped", before.reason
                    logger.warning(
                        "arm %s stays stopped, as before the restart: %s", slot.name, slot.reason
                    )
        return slot

    def _see_to(self, slot: _Slot, routes: Routes) -> None:
        if slot.arm is not None:
            if slot.arm.stopped:
                slot.state, slot.reason = "stopped", safe_text(slot.arm.stopped)
            elif slot.arm.serving.policy.settings != routes.serving.policy.settings:
                self._fit(slot, slot.arm, routes)
        elif slot.state == "opening" and slot.opening is None:
            if monotonic() >= slot.again_at:
                slot.opening = in_thread(self._opened, slot, routes)
        elif slot.opening is not None and slot.opening.done():
            self._take_in(slot, slot.opening)
            slot.opening = None

    def _opened(self, slot: _Slot, routes: Routes) -> tuple[OpenModel, ServedModel]:
        model = self._open_model(slot.version, slot.unwanted.is_set)
        policy = routes.serving.policy.settings
        serving = model.made_ready(
            self._feature_names, [policy], self._explains, self._policies.fit
        )
        return model, serving

    def _take_in(self, slot: _Slot, opened: "Future[tuple[OpenModel, ServedModel]]") -> None:
        try:
            model, serving = opened.result()
        except RegistryAwayError as error:
            logger.error("can't load arm %s yet: %s; trying again", slot.name, error)
            slot.reason, slot.again_at = safe_text(str(error)), monotonic() + _AGAIN_S
            return
        except Exception as error:
            logger.error("arm %s (model %s) can't answer: %s", slot.name, slot.version, error)
            slot.refuse(str(error) or type(error).__name__)
            return
        slot.model, slot.arm = model, Arm(slot.name, serving, model.switch.off)
        slot.state, slot.reason = "serving", ""
        logger.info("arm %s answers with model %s", slot.name, slot.version)

    def _fit(self, slot: _Slot, arm: Arm, routes: Routes) -> None:
        """Let an arm decide by the policy that holds now."""
        before, settings = arm.serving, routes.serving.policy.settings
        assert slot.model is not None
        try:
            policy = self._policies.fit(settings, slot.model.package.thresholds)
        except PolicyError as error:
            arm.stop(f"policy {settings.version} does not fit its thresholds: {error}")
            return
        arm.serving = ServedModel(before.package, before.engine, policy, before.latency)

    def _route(self, routes: Routes, wanted: CanaryCommand | None) -> None:
        named = {} if wanted is None else {arm.name: arm.share for arm in wanted.arms}
        arms = [(name, self._slots[name].arm) for name in named]
        shares = list(named.values())
        servings = [None if arm is None else arm.serving for _, arm in arms]
        routed = (self._experiment, arms, shares, servings)
        if routed != self._routed:
            routes.route(self._experiment, arms, shares)
            self._routed = routed

    def _tell(self) -> None:
        """Report a change of state at once, and counts now and then."""
        arms = tuple(
            ArmReport(
                name=slot.name,
                model=slot.version.package,
                state=slot.state,
                reason=slot.reason,
                counts=slot.arm.counts.as_dict() if slot.arm is not None else {},
            )
            for slot in self._slots.values()
        )
        told = self._told
        if not arms:
            if told is not None:
                self._report(None)
                self._told = None
            return
        if told is not None and told.experiment == self._experiment:
            if _states(arms) == _states(told.arms) and monotonic() < self._tell_at:
                return
            # Word that did not arrive is said again, though nothing is new.
            if arms == told.arms and monotonic() < self._repeat_at:
                return
        self._told = ArmsReport(
            experiment=self._experiment, arms=arms, begun=self._begun, at=now_ms()
        )
        self._tell_at = monotonic() + _REPORT_S
        self._repeat_at = monotonic() + ALIVE_EVERY_S
        self._report(self._told)

    def _close(self, routes: Routes) -> None:
        routes.route("", [], [])
        stopped = any(slot.state == "stopped" for slot in self._slots.values())
        for slot in self._slots.values():
            slot.close()
        if self._slots and not stopped:  # else the next start has to know
            self._report(None)


def _close_opened(opened: "Future[tuple[OpenModel, ServedModel]]") -> None:
    """Free the engine of an arm that was ready when nobody wanted it any more."""
    if opened.exception() is None:
        in_thread(opened.result()[0].engine.close)


def _states(arms: Sequence[ArmReport]) -> list[tuple[str, str, str]]:
    return [(arm.name, arm.model, arm.state) for arm in arms]
