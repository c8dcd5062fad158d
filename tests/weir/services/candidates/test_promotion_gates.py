"""What stands between a model and its promotion, as it is found."""

from types import SimpleNamespace
from typing import Any

import pytest

from inference.control.commands import ChampionCommand, ModelVersion
from inference.gates.gates import Gate
from inference.gates.settings import GateSettings
from inference.gates.waiver import Waiver
from inference.packages.mlflow_connection import RegistryAwayError
from weir.services.candidates.promotion_gates import Gates, champion_of

ROOM: Any = SimpleNamespace(champion=None)


class Registry:
    def __init__(self, aliases: dict[str, int], away: bool = False) -> None:
        self._aliases, self._away = aliases, away

    def aliases(self) -> dict[str, int]:
        return self._aliases

    def get(self, name: str) -> Any:
        if self._away:
            raise RegistryAwayError("away")
        return SimpleNamespace(version=self._aliases[name], package_id="a" * 64)


def test_a_registry_that_does_not_say_who_is_champion_opens_no_gate() -> None:
    registry: Any = Registry({"champion": 1})
    assert champion_of(ROOM, registry) == "a" * 64
    registry = Registry({})
    assert champion_of(ROOM, registry) is None
    registry = Registry({"champion": 1}, away=True)
    with pytest.raises(RegistryAwayError):
        champion_of(ROOM, registry)


def test_a_waiver_as_long_as_may_be_is_one() -> None:
    model = ModelVersion(version=2, package="b" * 64)
    waiver = Waiver(package="b" * 64, beside="a" * 64, by="a" * 200, note="x" * 2_000, at=1)
    gate = Gate("exposure", "open", "why")
    gates = Gates(GateSettings(enforce=True), "a" * 64, gates=(gate,), waiver=waiver)
    waived = gates.admit(2, "eve", "")
    command = ChampionCommand(model=model, by="eve", waived=waived, at=1)
    assert command.waived.startswith("waived by")
