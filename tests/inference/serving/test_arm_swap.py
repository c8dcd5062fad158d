"""Arms are opened and closed as the control topic says, and stay stopped where they were."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic, sleep
from types import SimpleNamespace

import numpy as np
import pytest
from payments import payments, quick_settings

from inference.backends.cpu import CpuEngine
from inference.backends.tensorrt.callbacks import Cancelled
from inference.backends.tensorrt.errors import BuildCancelledError
from inference.control.arm_reports import ArmReport, ArmsReport
from inference.control.canary import ArmShare, CanaryBook, CanaryCommand
from inference.control.commands import ModelVersion, Withdrawal
from inference.control.signatures import CommandKeys
from inference.packages.mlflow_connection import RegistryAwayError
from inference.packages.package import ModelPackage, PackageError
from inference.policy.floor import BoundedPolicies
from inference.policy.policy import PolicySettings
from inference.routing.arm import Arm
from inference.serving import arm_swap
from inference.serving.arm_swap import ArmSwap
from inference.serving.open_model import OpenModel
from inference.training.train import train
from streams.base.bounded_calls import FOREVER

Routed = tuple[str, list[tuple[str, Arm | None]], list[float]]


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> list[ModelPackage]:
    folder = tmp_path_factory.mktemp("packages")
    return [
        train(payments(4_000), quick_settings(seed=seed), folder, lambda *_: None)
        for seed in (1, 2)
    ]


@dataclass
class World:
    """A registry of two models, and one who is told which arms answer."""

    packages: list[ModelPackage]
    last: ArmsReport | None = None
    policy: PolicySettings = field(default_factory=PolicySettings)
    faults: dict[int, Exception] = field(default_factory=dict)
    opened: list["Engine"] = field(default_factory=list)
    reports: list[ArmsReport | None] = field(default_factory=list)
    routed: list[Routed] = field(default_factory=list)
    hold: threading.Event = field(default_factory=threading.Event)
    given_up: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.hold.set()
        self.book = CanaryBook(CommandKeys("control"))
        self.swap = ArmSwap(
            self.packages[0].features.names,
            open_model=self.open,
            policies=BoundedPolicies(self.policy, None),
            book=self.book,
            report=self.reports.append,
            last=self.last,
        )

    @property
    def serving(self) -> SimpleNamespace:
        return SimpleNamespace(policy=SimpleNamespace(settings=self.policy))

    def route(
        self, experiment: str, arms: Sequence[tuple[str, Arm | None]], shares: Sequence[float]
    ) -> None:
        self.routed.append((experiment, list(arms), list(shares)))

    def open(self, wanted: ModelVersion, cancelled: Cancelled) -> OpenModel:
        while not self.hold.wait(0.01):
            if cancelled():
                self.given_up.append(wanted.version)
                raise BuildCancelledError("given up")
        if wanted.version in self.faults:
            raise self.faults[wanted.version]
        package = self.packages[wanted.version - 1]
        self.opened.append(Engine(package))
        return OpenModel(wanted, package, self.opened[-1], cancelled=cancelled)

    def want(self, *versions: int, experiment: str = "e", share: float = 0.1) -> None:
        arms = tuple(
            ArmShare(
                name=f"arm{each}",
                model=ModelVersion(version=each, package=self.packages[each - 1].id),
                share=share,
            )
            for each in versions
        )
        at = self.book.since + 1
        self.book.stand(
            CanaryCommand(
                experiment=experiment,
                champion=self.packages[0].id,
                arms=arms,
                begun=1,
                stepped=at,
                by="ada",
                at=at,
            )
        )

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = monotonic() + 60
        while not condition():
            assert monotonic() < deadline
            self.swap.step(self)  # type: ignore[arg-type]
            sleep(0.01)

    def ready(self, *names: str) -> bool:
        _, arms, _ = self.routed[-1] if self.routed else ("", [], [])
        return {name for name, arm in arms if arm is not None} == set(names)

    def told(self) -> dict[str, tuple[str, str]]:
        last = self.reports[-1] if self.reports else None
        return {} if last is None else {arm.name: (arm.state, arm.reason) for arm in last.arms}


class Engine(CpuEngine):
    closed = False

    def close(self) -> None:
        self.closed = True
        super().close()


def test_arms_come_change_their_shares_and_go(packages: list[ModelPackage]) -> None:
    world = World(packages)
    world.want(1, 2)
    world.swap.step(world)  # type: ignore[arg-type]
    assert world.routed == [("e", [("arm1", None), ("arm2", None)], [0.1, 0.1])], "at once"
    assert world.told() == {"arm1": ("opening", ""), "arm2": ("opening", "")}
    world.until(lambda: world.ready("arm1", "arm2"))
    arms = world.routed[-1][1]
    assert world.told() == {"arm1": ("serving", ""), "arm2": ("serving", "")}
    world.want(1, 2, share=0.3)
    world.until(lambda: world.routed[-1][2] == [0.3, 0.3])
    assert world.routed[-1][1] == arms, "the same ones go on"
    world.want(2, share=0.3)
    world.until(lambda: world.ready("arm2"))
    world.until(lambda: [each.closed for each in world.opened].count(True) == 1)
    world.book.stand(Withdrawal(by="ada", at=99))
    world.until(lambda: world.routed[-1] == ("", [], []))
    world.until(lambda: all(each.closed for each in world.opened))
    assert world.reports[-1] is None


def test_another_experiment_begins_anew(packages: list[ModelPackage]) -> None:
    world = World(packages)
    world.want(2)
    world.until(lambda: world.ready("arm2"))
    before = world.routed[-1][1][0][1]
    world.want(2, experiment="f")
    world.until(lambda: world.routed[-1][0] == "f" and world.ready("arm2"))
    assert world.routed[-1][1][0][1] is not before


def test_one_that_was_stopped_is_reported_at_once_and_stays_stopped_after_a_restart(
    packages: list[ModelPackage],
) -> None:
    world = World(packages)
    world.want(2)
    world.until(lambda: world.ready("arm2"))
    arm = world.routed[-1][1][0][1]
    assert arm is not None
    arm.stop("it is out of its mind")
    world.swap.step(world)  # type: ignore[arg-type]
    assert world.told() == {"arm2": ("stopped", "it is out of its mind")}
    stop = threading.Event()
    stop.set()
    world.swap.run(world, stop)  # type: ignore[arg-type]
    assert world.told() == {"arm2": ("stopped", "it is out of its mind")}, "the next has to know"

    again = World(packages, last=world.reports[-1])
    again.want(2)
    for _ in range(20):
        again.swap.step(again)  # type: ignore[arg-type]
        sleep(0.01)
    assert not again.ready("arm2")
    assert again.opened == []
    assert again.book.said is not None
    again.want(2, experiment="f")  # a person has begun another one
    again.until(lambda: again.ready("arm2"))


def test_one_that_can_not_be_opened_is_refused_and_the_others_answer(
    packages: list[ModelPackage],
) -> None:
    world = World(packages, faults={1: PackageError("it is broken")})
    world.want(1, 2)
    world.until(lambda: world.ready("arm2"))
    world.until(lambda: world.told().get("arm1") == ("refused", "it is broken"))
    assert world.told()["arm2"] == ("serving", "")


def test_a_registry_that_is_away_is_asked_again(
    packages: list[ModelPackage], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arm_swap, "_AGAIN_S", 0.05)
    world = World(packages, faults={2: RegistryAwayError("away")})
    world.want(2)
    for _ in range(10):
        world.swap.step(world)  # type: ignore[arg-type]
        sleep(0.01)
    assert world.told()["arm2"][0] == "opening"
    world.faults.clear()
    world.until(lambda: world.ready("arm2"))


def test_one_that_is_not_wanted_any_more_is_not_waited_for(packages: list[ModelPackage]) -> None:
    world = World(packages)
    world.hold.clear()
    world.want(2)
    world.swap.step(world)  # type: ignore[arg-type]
    world.want(1)
    world.swap.step(world)  # type: ignore[arg-type]
    assert [name for name, _ in world.routed[-1][1]] == ["arm1"]
    world.until(lambda: world.given_up == [2])
    world.hold.set()
    world.until(lambda: world.ready("arm1"))


def test_one_that_is_ready_when_nobody_wants_it_any_more_is_closed(
    packages: list[ModelPackage],
) -> None:
    world = World(packages)
    world.want(2)
    world.swap.step(world)  # type: ignore[arg-type]
    (slot,) = world.swap._slots.values()
    assert slot.opening is not None
    slot.opening.result(60)  # and the next look comes after that
    world.want(1)
    world.until(lambda: world.ready("arm1"))
    world.until(lambda: world.opened[0].closed)


def test_a_new_policy_holds_for_the_arms_too_or_stops_the_one_that_it_does_not_fit(
    packages: list[ModelPackage],
) -> None:
    world = World(packages)
    world.want(2)
    world.until(lambda: world.ready("arm2"))
    world.policy = PolicySettings(version="strict", review_probability=0.01)
    world.until(lambda: world.routed[-1][1][0][1].serving.policy.version == "strict")  # type: ignore[union-attr]
    arm = world.routed[-1][1][0][1]
    assert arm is not None
    assert arm.serving.policy.review == np.float32(0.01)
    own = packages[1].thresholds.decline
    world.policy = PolicySettings(version="odd", review_probability=float(own) / 2 + 0.5)
    world.until(lambda: world.told()["arm2"][0] == "stopped")
    assert "odd" in world.told()["arm2"][1]


def test_a_machine_without_a_thread_to_spare_is_asked_again(
    packages: list[ModelPackage], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arm_swap, "_AGAIN_S", 0.05)
    tries, start = [], threading.Thread.start

    def refused(thread: threading.Thread) -> None:
        if not thread.name.startswith(f"{FOREVER}arm "):
            start(thread)
            return
        tries.append(thread.name)
        if len(tries) < 2:
            raise RuntimeError("can't start new thread")
        start(thread)

    world, ended = World(packages), threading.Event()
    world.want(2)
    follower = threading.Thread(target=world.swap.run, args=(world, ended))
    follower.start()
    monkeypatch.setattr(threading.Thread, "start", refused)
    deadline = monotonic() + 60
    while not world.ready("arm2") and monotonic() < deadline:
        sleep(0.01)
    ended.set()
    follower.join(30)
    assert tries == [f"{FOREVER}arm arm2"] * 2


def test_counts_are_reported_now_and_then(
    packages: list[ModelPackage], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arm_swap, "_REPORT_S", 0.0)
    world = World(packages)
    world.want(2)
    world.until(lambda: world.ready("arm2"))
    arm = world.routed[-1][1][0][1]
    assert arm is not None
    arm.counts.events = 17
    world.until(lambda: world.reports[-1].arms[0].counts.get("events") == 17)  # type: ignore[union-attr]
    said = len(world.reports)
    world.swap.step(world)  # type: ignore[arg-type]
    assert len(world.reports) == said, "nothing is new"


def test_word_that_one_was_stopped_is_said_again(
    packages: list[ModelPackage], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arm_swap, "ALIVE_EVERY_S", 0.05)
    world = World(packages)
    world.want(2)
    world.until(lambda: world.ready("arm2"))
    arm = world.routed[-1][1][0][1]
    assert arm is not None
    arm.stop("it is out of its mind")
    world.until(lambda: world.told()["arm2"][0] == "stopped")
    world.reports.clear()  # the cluster was away
    world.until(lambda: world.told().get("arm2", ("", ""))[0] == "stopped")


def test_a_report_is_read_as_it_was_written() -> None:
    arm = ArmReport(name="canary", model="a" * 64, state="stopped", reason="x" * 5_000)
    report = ArmsReport(experiment="e", arms=(arm,), begun=1, at=2)
    assert len(report.arms[0].reason) == 1_000
    assert ArmsReport.model_validate_json(report.model_dump_json()) == report
