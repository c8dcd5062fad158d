"""The arms of a scorer are there from its first event to its last."""

from threading import Event
from time import sleep
from types import SimpleNamespace
from typing import Any

from inference.control.canary import ArmShare, CanaryBook, CanaryCommand
from inference.control.commands import ModelVersion
from inference.control.signatures import CommandKeys
from inference.packages.mlflow_connection import RegistryAwayError
from inference.policy.floor import BoundedPolicies
from inference.policy.policy import PolicySettings
from inference.serving.arm_swap import ArmSwap
from weir.services.scorer_process import ScorerProcess

MODEL = ModelVersion(version=2, package="b" * 64)


class Answerer:
    """Notes which experiment each event falls to."""

    serving = SimpleNamespace(policy=SimpleNamespace(settings=PolicySettings()))

    def __init__(self) -> None:
        self.experiment = ""
        self.answered: list[str] = []

    def route(self, experiment: str, arms: Any, shares: Any) -> None:
        self.experiment = experiment


def test_the_first_event_and_the_last_one_are_of_the_experiment_that_runs() -> None:
    book = CanaryBook(CommandKeys("control"))
    arms = (ArmShare(name="canary", model=MODEL, share=0.1),)
    book.stand(
        CanaryCommand(
            experiment="e", champion="a" * 64, arms=arms, begun=1, stepped=1, by="ada", at=1
        )
    )

    def away(*_: Any) -> Any:
        raise RegistryAwayError("away")

    swap = ArmSwap(
        ["x"],
        open_model=away,
        policies=BoundedPolicies(PolicySettings(), None),
        book=book,
        report=lambda _: None,
    )
    answerer = Answerer()

    def answer(stop: Event) -> None:
        answerer.answered.append(answerer.experiment)
        stop.set()
        sleep(0.5)  # the transaction at hand ends
        answerer.answered.append(answerer.experiment)

    process = ScorerProcess(
        SimpleNamespace(run=answer),  # type: ignore[arg-type]
        SimpleNamespace(),  # type: ignore[arg-type]
        SimpleNamespace(),  # type: ignore[arg-type]
        answerer,  # type: ignore[arg-type]
        SimpleNamespace(follow=lambda *_: None, close=lambda: None),  # type: ignore[arg-type]
        SimpleNamespace(close=lambda: None),  # type: ignore[arg-type]
        lambda _: None,
        swap,
    )
    process.run(Event())
    assert answerer.answered == ["e", "e"]
    assert answerer.experiment == "", "and no engine is asked when it is closed"
