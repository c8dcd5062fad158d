"""Names the shadow's candidates on the control topic: they come, change and go."""

from collections.abc import Callable

import numpy as np

from tests.chaos.commander import GARBAGE, Commander, encoded
from tests.chaos.model import Model

NAMES = ("first", "second")
_CHAMPION, _DAMAGED = 0.4, 0.1


def key_of(name: str) -> str:
    """The key of a candidate's commands."""
    return f"shadow/{name}"


class Candidates:
    """Two candidates at most, each a registered model: the champion too, as its own candidate."""

    def __init__(self, commander: Commander, rng: np.random.Generator) -> None:
        self._commander, self._rng = commander, rng
        self._standing: dict[str, str] = {}

    def begin(self) -> None:
        """The champion is its own candidate, and another model is one beside it."""
        champion, other, *_ = self._commander.models
        for name, model in zip(NAMES, (champion, other), strict=True):
            self._comes(name, model)

    def change(self) -> None:
        """One comes, or another model under its name; one goes; or a record of one says nothing."""
        kinds: list[Callable[[str], None]] = [self._another, self._another, self._goes, self._spoil]
        name = NAMES[int(self._rng.integers(len(NAMES)))]
        kinds[int(self._rng.integers(len(kinds)))](name)

    def _another(self, name: str) -> None:
        commander, draw = self._commander, self._rng.random()
        if draw < _CHAMPION:
            self._comes(name, commander.champion)
        elif draw < 1 - _DAMAGED:
            self._comes(name, commander.models[int(self._rng.integers(len(commander.models)))])
        else:
            self._comes(name, commander.damaged, answers=False)

    def _comes(self, name: str, model: Model, *, answers: bool = True) -> None:
        self._standing[name] = model.name if answers else ""
        command = {"model": encoded([model])[0]}
        self._commander.say(key_of(name), command, {self._standing[name]})

    def _goes(self, name: str) -> None:
        self._standing[name] = ""
        if self._rng.random() < 0.3:
            self._commander.write(key_of(name), None, {""})
        else:
            self._commander.say(key_of(name), {"withdrawn": True}, {""})

    def _spoil(self, name: str) -> None:
        """What stands stands; who starts when the topic was compacted finds no candidate."""
        garbage = GARBAGE[int(self._rng.integers(len(GARBAGE)))]
        self._commander.write(key_of(name), garbage, {self._standing.get(name, "")})
