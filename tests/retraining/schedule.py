"""Plays one schedule: an episode asks for retraining, and whoever works on it is killed."""

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Literal

from monitoring.episodes.episode import ENCODE_EPISODE, Episode, Kind, WorseFigure
from monitoring.retraining.state import ControllerState
from streams.kafka.records.publisher import Publisher
from tests.retraining.controllers import Controllers, kill_jobs
from tests.retraining.findings import judge
from tests.retraining.plan import POINTS, Kill, Plan, Point
from tests.retraining.stage import LOOK_S
from tests.retraining.watcher import Watcher
from weir.config.settings import Settings
from weir.retraining.board import RetrainingBoard
from weir.services.wiring import command_keys

_LOSS, _BROKEN, _MARK = "loss", "units", "mark"
_POLL_S = 0.01
_PATIENCE_S = 240.0
_LOOKS = 10
"""So many are waited for before it is believed that nothing more is done."""


@dataclass
class Outcome:
    """What came of a schedule.

    Attributes:
        kills: by point and who was hit, such as ``running: job``.
        exits: codes of controllers that nobody killed.
        violations: in words.
    """

    kills: Counter[str] = field(default_factory=Counter)
    started: int = 0
    exits: Counter[int] = field(default_factory=Counter)
    attempts: int = 0
    seconds: float = 0.0
    violations: list[str] = field(default_factory=list)


class InVainError(Exception):
    """What has to come has not come."""


class Schedule:
    """One schedule, in topics and a folder of its own."""

    def __init__(self, config: Path, settings: Settings, champion: str, plan: Plan) -> None:
        self._settings, self._champion, self._plan = settings, champion, plan
        self._watcher = Watcher(settings, champion, _LOSS)
        self._controllers = Controllers(config, plan.controllers)
        self._outcome = Outcome()
        self._due = list(plan.kills)

    async def play(self) -> Outcome:
        """Play it to its end, and check what came of it."""
        outcome, begun = self._outcome, monotonic()
        try:
            await self._play()
        except InVainError as error:
            outcome.violations.append(f"waited in vain: {error}")
        finally:
            self._controllers.kill()
            kill_jobs(self._watcher)
        found = self._watcher.conclude()
        self._watcher.close()
        found.kills = sum(outcome.kills.values())
        outcome.violations += [*judge(found), *self._controllers.wrong]
        outcome.attempts, outcome.started = found.attempts, self._controllers.started
        outcome.exits, outcome.seconds = self._controllers.exits, monotonic() - begun
        return outcome

    async def _play(self) -> None:
        found = self._watcher.found
        if self._plan.broken:
            self._say(_BROKEN, "data_breakage")
        self._say(_LOSS, "performance_loss")
        self._controllers.fill_up()
        if self._plan.broken:
            await self._kill_up_to("warn")
            found.while_broken = bool(found.decided)
            self._say(_BROKEN, "data_breakage", "closed")
        await self._kill_up_to("named")
        if self._plan.withdrawn:
            self._withdraw()
            await self._kill_up_to("cooldown")
        # What is said last has been heard when this is: the topic has one partition.
        self._say(_LOSS, "performance_loss")
        self._say(_MARK, "data_breakage")
        await self._until("the last episode is heard", lambda: _MARK in self._state.episodes)
        self._say(_MARK, "data_breakage", "closed")
        await self._until("its end is heard", lambda: _MARK not in self._state.episodes)
        until = monotonic() + _LOOKS * LOOK_S
        await self._until("some looks", lambda: monotonic() >= until)

    @property
    def _state(self) -> ControllerState:
        return self._watcher.kept

    async def _kill_up_to(self, last: Point) -> None:
        """Carry out the kills that are due until a point is reached."""
        upto = POINTS[: POINTS.index(last) + 1]
        while self._due and self._due[0].point in upto:
            kill = self._due.pop(0)
            await self._reached(kill.point)
            await asyncio.sleep(kill.after_s)
            await self._carry_out(kill)
        await self._reached(last)

    async def _reached(self, point: Point) -> None:
        await self._until(point, lambda: self._watcher.reached(point))

    async def _carry_out(self, kill: Kill) -> None:
        hit, kills = 0, self._outcome.kills
        if kill.victim != "controller":
            hit = kill_jobs(self._watcher)
            kills[f"{kill.point}: job"] += hit
        if kill.victim != "job" or not hit:
            ended = await self._controllers.end(everyone=kill.all_controllers, gently=kill.gently)
            kills[f"{kill.point}: controller{' by SIGTERM' if kill.gently else ''}"] += ended
            await asyncio.sleep(kill.away_s)
            self._controllers.fill_up()

    async def _until(self, what: str, condition: Callable[[], bool]) -> None:
        until = monotonic() + _PATIENCE_S
        while True:
            self._watcher.look()
            if condition():
                return
            if monotonic() > until:
                raise InVainError(f"{what}; phase {self._state.phase}, {self._state.waits_for!r}")
            self._controllers.fill_up()
            await asyncio.sleep(_POLL_S)

    def _say(self, name: str, kind: Kind, state: Literal["open", "closed"] = "open") -> None:
        """As the monitor says it."""
        model = self._champion[:12] if kind == "performance_loss" else "all"
        figure = WorseFigure("cost", 1, 9.0, 2.0, 1.0, f"it costs twice as much ({name})")
        episode = Episode(name, model, kind, "page", state, 1, 2, [], figures=[figure])
        with Publisher(self._settings.kafka) as publisher:
            publisher.send(self._settings.topics.drift, ENCODE_EPISODE(episode), key=name)
            publisher.flush()

    def _withdraw(self) -> None:
        board = RetrainingBoard(self._settings.kafka, command_keys(self._settings))
        with closing(board):
            for name, _ in self._watcher.found.named:
                board.take_away(name, "ada", "it has been looked at")
