"""The scorer's process: its loop, and beside it the threads that carry out commands."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event, Thread
from typing import Protocol

from prometheus_client import CollectorRegistry

from inference.control.listener import ControlListener
from inference.control.reports import ScorerReport
from inference.serving.answerer import Answerer
from inference.serving.arm_swap import ArmSwap
from inference.serving.hot_swap import HotSwap
from inference.serving.metrics import ScorerMetrics
from streams.base.bounded_calls import StoppedError
from weir.services.process_tuning import give_way

logger = logging.getLogger(__name__)

_FOLLOWER_ENDS_S = 10.0


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
        arms: opens what is tried beside the champion; None where one model answers for good.
        report: how it says on the topic of reports what became of a command; None takes its last
            word back.
    """

    loop: Loop
    prometheus: CollectorRegistry
    metrics: ScorerMetrics
    answerer: Answerer
    hot_swap: HotSwap
    commands: ControlListener
    report: Callable[[ScorerReport | None], None]
    arms: ArmSwap | None = None

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
        ended = Event()  # not `stop`: what is answered until the end is answered by its arm

        def follow() -> None:
            give_way()
            try:
                self.hot_swap.follow(self.commands, self.answerer, stop)
            except Exception as error:
                failures.append(error)
                stop.set()
            finally:
                self.commands.close()  # by nobody else: the client does not survive it in a read

        def swap_arms(arms: ArmSwap) -> None:
            give_way()
            try:
                arms.run(self.answerer, ended)
            except Exception as error:
                failures.append(error)
                stop.set()

        follower = Thread(target=follow, name="hot-swap", daemon=True)
        beside = [follower]
        if self.arms is not None:
            self.arms.begin(self.answerer)
            beside.append(Thread(target=swap_arms, args=(self.arms,), name="arm-swap", daemon=True))
        for thread in beside:
            thread.start()
        stopped: StoppedError | None = None
        try:
            self.loop.run(stop)
        except StoppedError as error:
            stopped = error
        finally:
            stop.set()
            ended.set()
            for thread in beside:
                thread.join(_FOLLOWER_ENDS_S)
        if follower.is_alive():
            logger.warning(
                "giving up a change of model or policy that is not finished: the next start "
                "makes it"
            )
        else:
            self.hot_swap.close()
        if failures:
            raise failures[0]
        self.report(None)
        if stopped is not None:
            raise stopped
        return "the last transaction is committed"
