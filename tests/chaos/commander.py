"""Gives commands on the control topic by its own hand, and remembers what was right from when on.

Records are made after docs/models.md, with nothing of Weir's; only the registry's alias, which
follows each champion as with `weir models promote`, is set by Weir's own registry.
"""

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import time
from typing import Any

import numpy as np
from confluent_kafka import Producer

from inference.packages.mlflow_connection import RegistryAwayError
from tests.chaos.arms import Experiment
from tests.chaos.configuration import TOPICS
from tests.chaos.model import Model
from tests.chaos.transcript import read_topic

CHAMPION, POLICY, CANARY = "champion", "policy", "canary"
FIRST_POLICY = "1"
"""That of the settings, which name none."""
_REMEMBERED = 20
_REPORT = "scorer/chaos"
_ABSENT = "0" * 64
GARBAGE = (b"\x00garbage", b"{}", b"[]", b"", b'{"model": {"version": 1}}')
_BAD_POLICIES: tuple[dict[str, Any], ...] = (
    {"review_probability": 0.9, "decline_probability": 0.1},
    {"review_alert_rate": 1e-9},
    {"review_probability": 2.0},
    {"no_such_key": 1},
)

Until = Callable[[Callable[[], bool], float], bool]
_TAKEN_S = 60.0


@dataclass(frozen=True)
class Command:
    """A record that the control topic took.

    Attributes:
        right: what may answer from then on until the next one of its kind: models' names or
            policies' versions. After a bad one it is what was right before; after a bad policy
            also the settings' one, by which a scorer starts that finds no better.
        said, taken: when it was written and when the cluster had it, UTC milliseconds.
        offset: on the control topic.
    """

    right: frozenset[str]
    said: int
    taken: int
    offset: int


class Commander:
    """Says which model and policy shall answer.

    Args:
        models: that work; the first is champion by the registry's word.
        damaged: a registered one that can't be opened.
        set_alias: points the registry's champion at a version.
        until: lets time pass until something holds; see `tests.chaos.stage.Stage.until`.

    Attributes:
        models, damaged: as given.
        given: commands by key, in the order of the topic, and before them what holds at first.
        policies: what each version said.
        experiments: what each command of the canary said, by a name of its own.
        canary: the one that holds; empty for none.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        models: Sequence[Model],
        damaged: Model,
        set_alias: Callable[[int], None],
        until: Until,
        rng: np.random.Generator,
    ) -> None:
        self.given: dict[str, list[Command]] = {
            CHAMPION: [_first(models[0].name)],
            POLICY: [_first(FIRST_POLICY)],
            CANARY: [_first("")],
        }
        self.experiments: dict[str, Experiment] = {}
        self.canary = ""
        self._canary_model = models[0]
        self.policies: dict[str, dict[str, Any]] = {FIRST_POLICY: {}}
        self.champion = models[0]
        self.policy = FIRST_POLICY
        self._before: list[Model] = []
        self._bootstrap = bootstrap_servers
        self.models, self.damaged = list(models), damaged
        self._set_alias, self._until, self._rng = set_alias, until, rng
        self._waiting = 0
        self._producer: Any = Producer(
            {
                "bootstrap.servers": bootstrap_servers,
                "enable.idempotence": True,
                "message.timeout.ms": 0,
                "reconnect.backoff.max.ms": 500,
                "log_level": 0,
            }
        )

    @property
    def count(self) -> int:
        """How many commands were given."""
        return sum(len(commands) - 1 for commands in self.given.values())

    def promote(self) -> None:
        """Another model becomes champion."""
        others = [each for each in self.models if each != self.champion]
        self._before = [*self._before, self.champion][-_REMEMBERED:]
        self.champion = others[int(self._rng.integers(len(others)))]
        self._name_champion()

    def rollback(self) -> None:
        """The one before becomes champion again; where there is none, another one."""
        if not self._before:
            self.promote()
            return
        self.champion = self._before.pop()
        self._name_champion()

    def decide(self) -> None:
        """Another policy, of a version that was never there before."""
        self.policy = f"p{len(self.policies)}"
        self.policies[self.policy] = self._draw_policy()
        policy = {"version": self.policy, **self.policies[self.policy]}
        self.say(POLICY, {"policy": policy}, {self.policy})

    def take_policy_back(self) -> None:
        """A record without a value: the settings' policy holds."""
        self.policy = FIRST_POLICY
        self.write(POLICY, None, {FIRST_POLICY})

    def promote_badly(self) -> None:
        """A champion that can't be opened, or a record that says nothing: the old one stays."""
        bad: dict[str, Any] = {
            "absent version": {"version": 999, "package": _ABSENT},
            "another package": {"version": self.champion.version, "package": _ABSENT},
            "damaged": {"version": self.damaged.version, "package": self.damaged.package},
        }
        kind = int(self._rng.integers(len(bad) + 2))
        if kind < len(bad):
            before = [*self._before, self.champion][-_REMEMBERED:]
            command = {"model": list(bad.values())[kind], "before": encoded(before)}
            self.say(CHAMPION, command, {self.champion.name})
            return
        garbage = None if kind == len(bad) else GARBAGE[int(self._rng.integers(len(GARBAGE)))]
        self.write(CHAMPION, garbage, {self.champion.name})

    def decide_badly(self) -> None:
        """A policy that contradicts itself or the model, or garbage: the old one stays."""
        right = {self.policy, FIRST_POLICY}
        kind = int(self._rng.integers(len(_BAD_POLICIES) + 1))
        if kind == len(_BAD_POLICIES):
            self.write(POLICY, GARBAGE[int(self._rng.integers(len(GARBAGE)))], right)
        else:
            policy = {"version": "bad", **_BAD_POLICIES[kind]}
            self.say(POLICY, {"policy": policy}, right)

    def begin_canary(self) -> None:
        """A model answers for a share of the keys; now and then one that can't be opened."""
        if self._rng.random() < 0.15:
            self._canary_model, name = self.damaged, ""
        else:
            self._canary_model = self.models[int(self._rng.integers(len(self.models)))]
            name = self._canary_model.name
        self._say_canary(f"experiment-{len(self.experiments)}", name)

    def step_canary(self) -> None:
        """The canary has another share of the keys; where there is none, one begins."""
        if not self.canary:
            self.begin_canary()
            return
        running = self.experiments[self.canary]
        self._say_canary(running.name, running.model)

    def end_canary(self) -> None:
        """There are no arms any more: by a withdrawal, or a record without a value."""
        self.canary = ""
        if self._rng.random() < 0.3:
            self.write(CANARY, None, {""})
        else:
            self.say(CANARY, {"withdrawn": True}, {""})

    def spoil_canary(self) -> None:
        """A record that says nothing: what holds goes on."""
        garbage = GARBAGE[int(self._rng.integers(len(GARBAGE)))]
        self.write(CANARY, garbage, {self.canary})

    def _say_canary(self, experiment: str, model: str) -> None:
        taken = {each.share for each in self.experiments.values()}
        share = round(float(self._rng.uniform(0.02, 0.48)), 5)
        while share in taken:
            share = round(share + 1e-5, 5)
        self.canary = f"{experiment}/{share}"
        self.experiments[self.canary] = Experiment(experiment, share, model)
        now = round(time() * 1_000)
        arm = {"name": "canary", "model": encoded([self._canary_model])[0], "share": share}
        command = {
            "experiment": experiment,
            "champion": self.champion.package,
            "arms": [arm],
            "begun": now,
            "stepped": now,
        }
        self.say(CANARY, command, {self.canary})

    def write_noise(self) -> None:
        """Records under keys that are nobody's business."""
        for key in (b"\xff\xfe", b"Champion", b"scorer/", b""):
            self._producer.produce(TOPICS["control"], self._rng.bytes(20), key)

    def served_by(self) -> set[str]:
        """The scorers that have said, since the last command of each kind, that they obey it."""
        latest = {kind: self.given[kind][-1].offset for kind in (CHAMPION, POLICY)}
        scorers = set()
        for message in read_topic(self._bootstrap, TOPICS["reports"]):
            key = (message.key() or b"").decode(errors="replace")
            if not key.startswith(_REPORT) or not message.value():
                continue
            said = json.loads(message.value())
            heard = all(said["heard"].get(kind, -1) >= last for kind, last in latest.items())
            if heard and (said["model"], said["policy"]) == (self.champion.package, self.policy):
                scorers.add(key)
        return scorers

    def close(self) -> None:
        """Wait for what the cluster has not taken yet.

        Raises:
            RuntimeError: it does not take it.
        """
        if self._producer.flush(_TAKEN_S):
            raise RuntimeError("the cluster did not take a record of the control topic")

    def _name_champion(self) -> None:
        command = {"model": encoded([self.champion])[0], "before": encoded(self._before)}
        self.say(CHAMPION, command, {self.champion.name})
        # A process that is suspended may hold SQLite's lock. Then the next command sets the alias:
        # what holds is what the control topic says.
        with suppress(RegistryAwayError):
            self._set_alias(self.champion.version)

    def _draw_policy(self) -> dict[str, Any]:
        rng = self._rng
        kind = int(rng.integers(3))
        if kind == 0:
            review = round(float(rng.uniform(0.02, 0.3)), 3)
            return {"review_probability": review, "decline_probability": round(review + 0.1, 3)}
        if kind == 1:
            return {"review_alert_rate": 0.1, "decline_alert_rate": float(rng.choice([0.0, 0.02]))}
        return {"anomaly_review": round(float(rng.uniform(0.3, 0.99)), 3)}

    def _by(self) -> dict[str, Any]:
        return {"by": "chaos", "note": "a fault", "at": round(time() * 1_000)}

    def say(self, key: str, body: dict[str, Any], right: set[str]) -> None:
        """Write a command, with who gives it and why."""
        self.write(key, json.dumps(body | self._by()).encode(), right)

    def write(self, key: str, value: bytes | None, right: set[str]) -> None:
        """Write a record; `right`: see `Command`."""
        self._waiting += 1

        def note(error: Any, message: Any) -> None:
            if error is not None:
                raise RuntimeError(f"the control topic refused a record: {error.str()}")
            _, said = message.timestamp()
            taken = round(time() * 1_000)
            command = Command(frozenset(right), said, taken, message.offset())
            self.given.setdefault(key, [_first("")]).append(command)
            self._waiting -= 1

        self._producer.produce(TOPICS["control"], value, key, on_delivery=note)
        self._until(self._all_taken, _TAKEN_S)

    def _all_taken(self) -> bool:
        self._producer.poll(0)
        return self._waiting == 0


def _first(right: str) -> Command:
    """What holds before anything was said."""
    return Command(frozenset([right]), 0, 0, -1)


def encoded(models: Sequence[Model]) -> list[dict[str, Any]]:
    """Models as commands name them."""
    return [{"version": each.version, "package": each.package} for each in models]
