"""What serves: at a start, and when commands come."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from forged_packages import endless_graph
from numpy.typing import NDArray
from payments import payments, quick_settings
from prometheus_client import CollectorRegistry

from inference.backends.cpu import CpuEngine
from inference.backends.tensorrt.errors import BuildCancelledError
from inference.control.commands import (
    CHAMPION_KEY,
    POLICY_KEY,
    ChampionCommand,
    ModelVersion,
    PolicyCommand,
    encode,
)
from inference.control.reports import ScorerReport
from inference.control.signatures import CommandKeys
from inference.control.standing import Standing
from inference.engine.onnx_session import RunSwitch, load_session, run_session
from inference.engine.protocol import EngineError, Outputs
from inference.packages.mlflow_connection import RegistryAwayError, RegistryError
from inference.packages.package import ModelPackage, PackageError
from inference.policy.floor import BoundedPolicies, PolicyFloor
from inference.policy.policy import PolicyError, PolicySettings
from inference.routing.served_model import ServedModel
from inference.serving import open_model
from inference.serving.explanation_seam import InlineExplainer
from inference.serving.hot_swap import HotSwap
from inference.serving.metrics import ScorerMetrics
from inference.serving.open_model import OpenModel
from inference.training.train import train
from streams.base.section import Section
from streams.kafka.records.control_topic import ControlRecord


class Watched(CpuEngine):
    """Knows whether it was closed; `shift` makes its scores wrong."""

    closed = False
    shift = 0.0

    def infer(self, matrix: NDArray[Any]) -> Outputs:
        outputs = super().infer(matrix)
        return outputs._replace(score=outputs.score + np.float32(self.shift))

    def close(self) -> None:
        self.closed = True
        super().close()


class Endless(Watched):
    """Runs a loop of 2^40 rounds in ONNX Runtime, whatever it is asked."""

    def __init__(self, package: ModelPackage) -> None:
        self.switch = RunSwitch()
        self.package = package
        super().__init__(package, switch=self.switch)
        self._endless = load_session(endless_graph(package).SerializeToString(), "endless")

    def infer(self, matrix: NDArray[Any]) -> Outputs:
        return run_session(self._endless, matrix, self.switch)


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> list[ModelPackage]:
    folder = tmp_path_factory.mktemp("packages")
    return [
        train(payments(4_000), quick_settings(seed=seed), folder, lambda *_: None)
        for seed in (1, 2, 3)
    ]


def version(packages: Sequence[ModelPackage], number: int) -> ModelVersion:
    return ModelVersion(version=number, package=packages[number - 1].id)


@dataclass
class World:
    """A registry of three models, and one who is told what serves."""

    packages: list[ModelPackage]
    pinned: bool = False
    policy: PolicySettings = field(default_factory=PolicySettings)
    floor: PolicyFloor | None = None
    keys: CommandKeys | None = None
    opened: list[Watched] = field(default_factory=list)
    faults: dict[int, Exception] = field(default_factory=dict)
    shifts: dict[int, float] = field(default_factory=dict)
    reports: list[ScorerReport] = field(default_factory=list)
    swaps: list[ServedModel] = field(default_factory=list)
    offset: int = 0

    def __post_init__(self) -> None:
        self.registry = CollectorRegistry()
        self.superseded = threading.Event()
        self.hot_swap = HotSwap(
            self.packages[0].features.names,
            open_model=self.open,
            policies=BoundedPolicies(self.policy, self.floor),
            standing=Standing(self.keys),
            report=self.reports.append,
            metrics=ScorerMetrics(self.registry),
            pinned=self.pinned,
            superseded=self.superseded,
        )

    def open(self, wanted: ModelVersion) -> OpenModel:
        if wanted.version in self.faults:
            raise self.faults[wanted.version]
        package = self.packages[wanted.version - 1]
        if package.id != wanted.package:
            raise PackageError("another package")
        self.opened.append(Watched(package))
        self.opened[-1].shift = self.shifts.get(wanted.version, 0.0)
        return OpenModel(wanted, package, self.opened[-1])

    def begin(self, *records: ControlRecord) -> ServedModel:
        latest = {record.key: record for record in records}
        return self.hot_swap.begin(latest, lambda: version(self.packages, 1))

    def record(self, key: str, value: Section | bytes | None) -> ControlRecord:
        self.offset += 1
        encoded = encode(value) if isinstance(value, Section) else value
        return ControlRecord(key, encoded, 0, self.offset)

    def champion(self, number: int, *before: int) -> ControlRecord:
        command = ChampionCommand(
            model=version(self.packages, number),
            before=tuple(version(self.packages, each) for each in before),
            by="me",
            at=1,
        )
        return self.record(CHAMPION_KEY, command)

    def decides(self, **policy: Any) -> ControlRecord:
        return self.record(
            POLICY_KEY, PolicyCommand(policy=PolicySettings(**policy), by="me", at=1)
        )

    def carry_out(self, *records: ControlRecord) -> ScorerReport | None:
        count = len(self.reports)
        self.hot_swap.carry_out(records, self)
        return self.reports[-1] if len(self.reports) > count else None

    def swap(self, serving: ServedModel) -> None:
        self.swaps.append(serving)

    def changes(self, outcome: str) -> float:
        name = "weir_model_changes_total"
        return self.registry.get_sample_value(name, {"outcome": outcome}) or 0.0


@pytest.fixture
def world(packages: list[ModelPackage]) -> World:
    return World(packages)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the monotonic clock says, as its only entry; it stands still."""
    seconds = [0.0]
    for user in ("hot_swap", "status_reporter"):
        monkeypatch.setattr(f"inference.serving.{user}.monotonic", lambda: seconds[0])
    return seconds


def test_the_registrys_champion_serves_until_somebody_promotes(world: World) -> None:
    serving = world.begin()
    assert serving.package == world.packages[0].id
    assert (world.reports[-1].outcome, world.reports[-1].model) == ("serving", serving.package)
    assert serving.latency.predict(32) > 0, "it knows how fast it is"


def test_a_command_swaps_and_the_old_engine_is_closed(world: World) -> None:
    world.begin()
    report = world.carry_out(world.champion(2, 1))
    assert report is not None
    assert (report.outcome, report.model) == ("serving", world.packages[1].id)
    assert [each.package for each in world.swaps] == [world.packages[1].id]
    assert [engine.closed for engine in world.opened] == [True, False]
    assert world.changes("serving") == 1
    world.hot_swap.close()
    assert world.opened[1].closed


def test_what_explains_is_made_ready_before_a_model_serves(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, int, int]] = []
    explains = Mock(spec=InlineExplainer)
    explains.prepare = lambda package, number: asked.append((package.id, number, len(world.swaps)))
    monkeypatch.setattr(world.hot_swap, "_explains", explains)
    world.begin()
    world.carry_out(world.champion(2))
    world.carry_out(world.decides(version="2"))
    one, two, _ = world.packages
    assert asked == [(one.id, 1, 0), (two.id, 2, 0)]
    assert len(world.swaps) == 2


def test_a_policy_keeps_engine_and_what_is_known_of_its_speed(world: World) -> None:
    first = world.begin()
    report = world.carry_out(world.decides(version="7", deadline="150ms"))
    assert report is not None
    assert (report.outcome, report.policy) == ("serving", "7")
    (second,) = world.swaps
    assert second.engine is first.engine
    assert second.latency is first.latency
    assert second.policy.deadline == 150
    assert not world.opened[0].closed
    taken_back = world.carry_out(world.record(POLICY_KEY, None))
    assert taken_back is not None
    assert taken_back.policy == "1"


def test_both_at_once_and_only_the_latest_of_each(world: World) -> None:
    world.begin()
    world.carry_out(
        world.champion(3), world.decides(version="a"), world.champion(2), world.decides(version="b")
    )
    assert len(world.opened) == 2
    assert (world.swaps[-1].package, world.swaps[-1].policy.version) == (world.packages[1].id, "b")


@pytest.mark.parametrize(
    "fault", [PackageError("damaged"), EngineError("no memory"), MemoryError("really none")]
)
def test_what_can_not_be_opened_is_refused_and_the_old_one_serves(
    world: World, fault: Exception
) -> None:
    world.begin()
    world.faults[2] = fault
    report = world.carry_out(world.champion(2, 1))
    assert report is not None
    assert report.outcome == "refused"
    assert (report.model, report.asked_model) == (world.packages[0].id, world.packages[1].id)
    assert str(fault) in report.reason
    assert world.swaps == []
    assert not world.opened[0].closed
    assert world.changes("refused") == 1
    assert world.carry_out() is None, "once"


@pytest.mark.parametrize("shift", [0.1, float("nan"), float("inf")])
def test_an_engine_that_fails_the_golden_batch_is_refused_and_closed(
    world: World, shift: float
) -> None:
    world.begin()
    world.shifts[2] = shift
    report = world.carry_out(world.champion(2))
    assert report is not None
    assert report.outcome == "refused"
    assert "golden batch" in report.reason
    assert [engine.closed for engine in world.opened] == [False, True]


def test_a_policy_that_contradicts_the_model_is_refused(world: World) -> None:
    world.begin()
    report = world.carry_out(
        world.decides(version="x", review_probability=0.9, decline_probability=0.1)
    )
    assert report is not None
    assert (report.outcome, report.policy, report.asked_policy) == ("refused", "1", "x")
    assert "declining from" in report.reason
    after = world.carry_out(world.champion(2))
    assert after is not None
    assert (after.outcome, after.policy) == ("serving", "1")


@pytest.mark.parametrize("value", [b"", b"\xff", b"[]", b'{"model": 1}', b"null", b"[" * 100_000])
def test_what_is_no_command_is_refused(world: World, value: bytes) -> None:
    world.begin()
    for key in (CHAMPION_KEY, POLICY_KEY):
        report = world.carry_out(world.record(key, value))
        assert report is not None
        assert report.outcome == "refused"
        assert "offset" in report.reason
    assert world.swaps == []


def test_other_keys_are_nobodys_business(world: World) -> None:
    world.begin()
    assert world.carry_out(world.record("scorer/me", b"x"), world.record("", b"")) is None


def test_an_absent_registry_is_asked_again(world: World, clock: list[float]) -> None:
    world.begin()
    world.faults[2] = RegistryAwayError("it is away")
    report = world.carry_out(world.champion(2))
    assert report is not None
    assert "tried again" in report.reason
    assert report.again
    del world.faults[2]
    assert world.carry_out() is None
    clock[0] += 10.0
    report = world.carry_out()
    assert report is not None
    assert (report.outcome, report.model) == ("serving", world.packages[1].id)


def test_a_command_that_follows_another_champion_is_refused(world: World) -> None:
    one, two, three = (version(world.packages, number) for number in (1, 2, 3))
    world.begin(world.champion(1))
    follows = ChampionCommand(model=two, expects=one, by="ada", at=1)
    late = ChampionCommand(model=three, expects=one, by="bob", at=2)
    world.carry_out(world.record(CHAMPION_KEY, follows))
    report = world.carry_out(world.record(CHAMPION_KEY, late))
    assert report is not None
    assert (report.outcome, report.model) == ("refused", two.package)
    assert report.asked_model == three.package
    assert f"{two} is in force" in report.reason
    assert [each.package for each in world.swaps] == [two.package]
    assert world.changes("refused") == 1
    after = world.carry_out(
        world.record(CHAMPION_KEY, late.model_copy(update={"expects": two})),
        world.record(CHAMPION_KEY, follows.model_copy(update={"expects": two})),
    )
    assert after is not None
    assert after.model == three.package, "though both came at once"
    begun = world.record(CHAMPION_KEY, follows)
    assert World(world.packages).begin(begun).package == two.package, "what came before is unknown"


def test_a_policy_that_follows_another_is_refused(world: World) -> None:
    world.begin()
    for expects, outcome, stands in ((None, "serving", "2"), (None, "refused", "2")):
        command = PolicyCommand(
            policy=PolicySettings(version="2" if outcome == "serving" else "3"),
            expects=expects,
            by="me",
            at=1,
        )
        report = world.carry_out(world.record(POLICY_KEY, command))
        assert report is not None
        assert (report.outcome, report.policy) == (outcome, stands)
    assert report.asked_policy == "3"


def test_a_command_of_a_newer_weir_changes_nothing(world: World) -> None:
    world.begin()
    for key in (CHAMPION_KEY, POLICY_KEY):
        report = world.carry_out(world.record(key, b'{"format": 2, "arms": []}'))
        assert report is not None
        assert report.outcome == "refused"
        assert "written by a newer Weir (format 2; this one reads up to 1)" in report.reason
    assert world.swaps == []


def test_a_report_names_the_latest_command_and_what_became_of_that_one(world: World) -> None:
    """Though one before it, which came at the same time, was carried out."""
    begun = world.champion(1)
    world.begin(begun)
    assert world.reports[-1].heard == {CHAMPION_KEY: begun.offset}
    world.faults[3] = PackageError("damaged")
    works, bad, policy = world.champion(2), world.champion(3), world.decides(version="2")
    world.carry_out(works, bad)
    assert world.swaps[-1].package == world.packages[1].id
    report = world.reports[-1]
    assert (report.outcome, report.reason) == ("refused", "damaged")
    assert (report.model, report.heard) == (world.packages[1].id, {CHAMPION_KEY: bad.offset})
    assert world.changes("refused") == 1
    world.carry_out(policy)
    assert world.reports[-1].heard == {CHAMPION_KEY: bad.offset, POLICY_KEY: policy.offset}


def test_what_the_registry_does_not_have_is_refused_for_good(
    world: World, clock: list[float]
) -> None:
    world.begin()
    world.faults[2] = RegistryError("there is no version 2")
    report = world.carry_out(world.champion(2))
    assert report is not None
    assert (report.outcome, report.reason) == ("refused", "there is no version 2")
    assert not report.again
    clock[0] += 10.0
    assert world.carry_out() is None
    assert (world.changes("refused"), world.changes("postponed")) == (1, 0)


def test_of_commands_that_come_at_once_the_latest_that_works_counts(world: World) -> None:
    """Whoever reads them one by one, and whoever starts later, comes to the same end."""
    world.begin()
    world.carry_out(
        world.champion(3),
        world.champion(2, 1, 3),
        world.record(CHAMPION_KEY, b"garbage"),
        world.decides(version="a"),
        world.decides(version="x", review_alert_rate=1e-9),
    )
    assert [(each.package, each.policy.version) for each in world.swaps] == [
        (world.packages[1].id, "1"),
        (world.packages[1].id, "a"),
    ]
    assert world.changes("refused") == 2


def test_while_the_latest_has_to_wait_the_one_before_serves(
    world: World, clock: list[float]
) -> None:
    world.begin()
    world.faults[3] = RegistryAwayError("it is away")
    world.carry_out(world.champion(2), world.champion(3, 1, 2))
    assert world.swaps[-1].package == world.packages[1].id
    clock[0] += 10.0
    del world.faults[3]
    world.carry_out()
    assert world.swaps[-1].package == world.packages[2].id
    clock[0] += 10.0
    assert world.carry_out() is None
    world.faults[1] = RegistryAwayError("it is away")
    world.carry_out(world.champion(1))
    world.carry_out(world.champion(2))
    clock[0] += 10.0
    assert world.carry_out() is None, "a later command worked"


def test_a_pinned_scorer_follows_the_policy_only(packages: list[ModelPackage]) -> None:
    world = World(packages, pinned=True)
    serving = world.begin(world.champion(2))
    assert serving.package == packages[0].id
    report = world.carry_out(world.champion(3))
    assert report is not None
    assert (report.outcome, report.model) == ("serving", packages[0].id)
    report = world.carry_out(world.decides(version="2"))
    assert report is not None
    assert report.policy == "2"


def test_a_start_takes_the_latest_champion_that_works(world: World) -> None:
    world.faults = {3: PackageError("damaged"), 2: EngineError("broken")}
    serving = world.begin(world.champion(3, 1, 2, 3, 2))
    assert serving.package == world.packages[0].id
    assert [report.outcome for report in world.reports] == ["refused", "refused"]
    assert {report.model for report in world.reports} == {serving.package}


def test_a_start_with_an_unreadable_command_takes_the_registrys(world: World) -> None:
    serving = world.begin(world.record(CHAMPION_KEY, b"x"), world.record(POLICY_KEY, b"y"))
    assert (serving.package, serving.policy.version) == (world.packages[0].id, "1")


def test_a_start_with_a_champion_that_nobody_has_takes_the_registrys(world: World) -> None:
    world.faults = {3: PackageError("damaged")}
    assert world.begin(world.champion(3)).package == world.packages[0].id
    (report,) = world.reports
    assert (report.outcome, report.asked_model) == ("refused", world.packages[2].id)


def test_a_start_does_not_need_the_registry_where_a_command_names_the_model(world: World) -> None:
    def away() -> ModelVersion:
        raise RegistryAwayError("no answer")

    named = world.champion(2)
    assert world.hot_swap.begin({CHAMPION_KEY: named}, away).package == world.packages[1].id
    world.faults = {2: EngineError("the second")}
    with pytest.raises(EngineError, match="the second"):
        world.hot_swap.begin({CHAMPION_KEY: named}, away)


@pytest.mark.parametrize("value", [b"[" * 100_000, b'{"policy":{"deadline":"%sd"}}' % (b"9" * 400)])
def test_a_start_survives_what_no_policy_could_be(world: World, value: bytes) -> None:
    assert world.begin(world.record(POLICY_KEY, value)).policy.version == "1"


def test_who_asks_for_what_serves_already_gets_a_word(world: World) -> None:
    world.begin()
    report = world.carry_out(world.champion(1))
    assert report is not None
    assert (report.outcome, report.model) == ("serving", world.packages[0].id)
    assert world.swaps == []


def test_a_start_falls_back_to_the_settings_policy(world: World) -> None:
    contradictory = world.decides(version="x", review_probability=0.9, decline_probability=0.1)
    assert world.begin(contradictory).policy.version == "1"


def test_nothing_that_works_is_an_error(world: World, packages: list[ModelPackage]) -> None:
    world.faults = {1: EngineError("the first"), 2: EngineError("the second")}
    with pytest.raises(EngineError, match="the second"):
        world.begin(world.champion(2, 1))
    hopeless = World(
        packages, policy=PolicySettings(review_probability=0.9, decline_probability=0.1)
    )
    with pytest.raises(PolicyError, match="declining from"):
        hopeless.begin()


def test_commands_are_followed_until_it_is_told_to_stop(world: World) -> None:
    world.begin()
    stop = threading.Event()
    batches = [[world.champion(2)], [], [world.champion(3)]]

    class Commands:
        def read(self, timeout_s: float) -> list[ControlRecord]:
            if len(world.swaps) == 2:
                stop.set()
            return batches.pop(0) if batches else []

    world.hot_swap.follow(Commands(), world, stop)
    assert [each.package for each in world.swaps] == [p.id for p in world.packages[1:]]
    assert [engine.closed for engine in world.opened] == [True, True, False]


class SlowWorld(World):
    """Model 2 is made ready for ever, until a later command comes; the second time it is there."""

    tries = 0

    def open(self, wanted: ModelVersion) -> OpenModel:
        if wanted.version == 2:
            self.tries += 1
            if self.tries == 1:
                self.busy.set()
                assert self.superseded.wait(60)
                raise BuildCancelledError("a later command")
        return super().open(wanted)

    def follow(self, first: list[ControlRecord], then: list[ControlRecord], swaps: int) -> None:
        """Hear the first records, and the others while model 2 is made ready."""
        stop, batches = threading.Event(), [first]
        self.busy = threading.Event()

        def read(timeout_s: float) -> list[ControlRecord]:
            if self.busy.is_set():
                self.busy.clear()
                batches.append(then)
            if len(self.swaps) == swaps:
                stop.set()
            return batches.pop(0) if batches else []

        self.begin()
        self.hot_swap.follow(Mock(read=read), self, stop)


def test_a_later_champion_comes_before_a_model_that_is_not_ready(packages) -> None:
    world = SlowWorld(packages)
    world.follow([world.champion(2)], [world.champion(3)], swaps=1)
    assert [each.package for each in world.swaps] == [packages[2].id]
    assert world.reports[-1].model == packages[2].id
    assert world.tries == 1


def test_a_model_that_was_given_up_for_a_bad_one_is_made_ready_again(packages) -> None:
    world = SlowWorld(packages, faults={3: PackageError("bad")})
    world.follow([world.champion(2)], [world.champion(3)], swaps=1)
    assert [each.package for each in world.swaps] == [packages[1].id]
    assert (world.reports[-1].outcome, world.reports[-1].asked_model) == ("refused", packages[2].id)
    assert world.reports[-1].model == packages[1].id


def test_a_policy_does_not_wait_for_a_model_that_is_not_ready(packages) -> None:
    world = SlowWorld(packages)
    world.follow([world.champion(2)], [world.decides(version="9")], swaps=2)
    assert [(each.package, each.policy.version) for each in world.swaps] == [
        (packages[0].id, "9"),
        (packages[1].id, "9"),
    ]


def test_a_policy_that_only_the_coming_model_allows_waits_for_it(packages, monkeypatch) -> None:
    allowed = BoundedPolicies.fit

    def fit(policies: BoundedPolicies, settings: PolicySettings, thresholds: Any) -> Any:
        if settings.version == "9" and thresholds is packages[0].thresholds:
            raise PolicyError("it contradicts the thresholds of the first model")
        return allowed(policies, settings, thresholds)

    monkeypatch.setattr(BoundedPolicies, "fit", fit)
    world = SlowWorld(packages)
    world.follow([world.champion(2)], [world.decides(version="9")], swaps=2)
    assert [(each.package, each.policy.version) for each in world.swaps] == [
        (packages[1].id, "1"),
        (packages[1].id, "9"),
    ]


def test_what_is_being_answered_ends_when_nobody_wants_it(packages) -> None:
    """A graph that overstays, as no package that was tried should."""
    made = Endless(packages[0])
    opened = OpenModel(version(packages, 1), made.package, made, made.switch, lambda: True)
    with pytest.raises(BuildCancelledError):
        opened.made_ready(packages[0].features.names, [PolicySettings()], None)
    assert made.closed


def test_an_engine_that_takes_too_long_is_refused(packages, monkeypatch) -> None:
    monkeypatch.setattr(open_model, "_MADE_READY_S", 0.2)
    made = Endless(packages[0])
    opened = OpenModel(version(packages, 1), made.package, made, made.switch)
    with pytest.raises(EngineError, match="did not answer a few batches in"):
        opened.made_ready(packages[0].features.names, [PolicySettings()], None)
    assert made.closed


def test_a_report_is_repeated_while_the_scorer_lives(world: World, clock: list[float]) -> None:
    world.begin()
    stop = threading.Event()

    class Commands:
        def read(self, timeout_s: float) -> list[ControlRecord]:
            clock[0] += 30.0
            if clock[0] >= 150.0:
                stop.set()
            return []

    world.hot_swap.follow(Commands(), world, stop)
    assert len(world.reports) == 1 + 2, "after 60 and 120 s"
    first, *_, last = world.reports
    assert last == first.model_copy(update={"alive": last.alive})
    assert last.alive >= first.alive
    assert last.lives(last.alive + 149_000)
    assert not last.lives(last.alive + 151_000)


def test_a_report_survives_the_topic(packages: list[ModelPackage], tmp_path: Path) -> None:
    command = ChampionCommand(model=version(packages, 1), by="me", at=5)
    assert ChampionCommand.model_validate_json(encode(command)) == command
    policy = PolicyCommand(policy=PolicySettings(deadline="1.5s"), by="me", at=5)
    assert PolicyCommand.model_validate_json(encode(policy)) == policy


def test_an_engine_whose_build_we_gave_up_is_no_bad_model(world: World) -> None:
    """The command stands: who starts next obeys it."""
    serving = world.begin()
    world.faults[2] = BuildCancelledError("told to stop")
    assert world.carry_out(world.champion(2)) is None
    assert world.swaps == []
    assert serving.engine.info.device == "cpu"
    assert world.changes("refused") == 0
    with pytest.raises(BuildCancelledError):
        World(world.packages, faults=world.faults).begin(world.champion(2))
