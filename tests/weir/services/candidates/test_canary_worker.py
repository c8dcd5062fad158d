"""What the process of the keeper does beside the keeper's own work."""

from threading import Event
from types import SimpleNamespace
from typing import Any

from prometheus_client import CollectorRegistry

from inference.canary.gate_record import GateRecord
from inference.canary.keeper import Judgement
from inference.canary.settings import CanarySettings
from inference.control.canary import ArmShare, CanaryCommand
from inference.control.commands import ModelVersion
from streams.kafka.records.publisher import PublishError
from weir.services.candidates.canary_worker import CanaryMetrics, CanaryWorker

MODEL = ModelVersion(version=2, package="b" * 64)
SAID = CanaryCommand(
    experiment="e",
    champion="a" * 64,
    arms=(ArmShare(name="canary", model=MODEL, share=0.1),),
    begun=1,
    stepped=1,
    by="ada",
    at=1,
)


class Keeper:
    """Tells what it is given, and says what it has carried out."""

    def __init__(self, stop: Event, *looks: tuple[str, CanaryCommand] | None) -> None:
        self.carried_out: list[str] = []
        self._looks, self._stop = list(looks), stop

    def of(self, tell: Any) -> "Keeper":
        self._tell = tell
        return self

    def look(self, timeout_s: float) -> Judgement | None:
        look = self._looks.pop(0)
        if not self._looks:
            self._stop.set()
        if look is None:
            return None
        judgement = Judgement(look[0], "as it is")  # type: ignore[arg-type]
        self._tell(look[1], judgement, {"guardrails": {}})
        self.carried_out.append(judgement.deed)
        return judgement

    def read_on(self, timeout_s: float) -> None:
        pass

    def rest(self) -> None:
        pass


def run(write: Any, *looks: tuple[str, CanaryCommand] | None) -> tuple[Keeper, CollectorRegistry]:
    stop, registry = Event(), CollectorRegistry()
    keeper = Keeper(stop, *looks)
    worker = CanaryWorker(
        CanarySettings(every="100ms"),
        election=SimpleNamespace(look=lambda _: not stop.wait(0.02), close=list),  # type: ignore[arg-type]
        automatic=SimpleNamespace(begin=lambda: None, promote=lambda: None),
        new_keeper=keeper.of,  # type: ignore[arg-type]
        write=write,
        metrics=CanaryMetrics(registry),
    )
    worker.run(stop)
    return keeper, registry


def test_a_canary_is_rolled_back_though_it_can_not_be_written_down_which_follows() -> None:
    written: list[GateRecord] = []
    tries = []

    def write(key: str, value: bytes) -> None:
        tries.append(key)
        if len(tries) < 3:
            raise PublishError("no leader")
        written.append(GateRecord.model_validate_json(value))

    keeper, _ = run(write, ("roll back", SAID), None, None, None)
    assert keeper.carried_out == ["roll back"]
    assert [each.deed for each in written] == ["roll back"]
    assert tries == ["e"] * 3


def test_what_is_done_once_counts_once() -> None:
    paused = SAID.model_copy(update={"state": "paused"})
    _, registry = run(lambda *_: None, ("void", SAID), ("void", paused), ("void", paused))
    assert registry.get_sample_value("weir_canary_deeds_total", {"deed": "void"}) == 1
    assert registry.get_sample_value("weir_canary_paused") == 1


def test_a_canary_that_has_ended_waits_for_nobody() -> None:
    paused = SAID.model_copy(update={"state": "paused"})
    _, registry = run(lambda *_: None, ("wait", paused), None)
    assert registry.get_sample_value("weir_canary_paused") == 0
