"""Candidates in processes of their own: they answer as a champion would, and fail alone."""

import errno
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from time import monotonic, sleep

import numpy as np
import psutil
import pytest
from forged_packages import endless_graph, forged, hungry_graph
from scorer_desk import PLAN

from inference.backends.cpu import CpuEngine
from inference.control.commands import ModelVersion
from inference.errors import InferenceError
from inference.packages.mlflow_connection import RegistryAwayError
from inference.packages.package import ModelPackage
from inference.policy.policy import Policy, PolicySettings
from inference.shadow import candidate as candidate_module
from inference.shadow.candidate import OpenCandidate, State
from inference.shadow.candidates import Candidates
from inference.shadow.settings import ShadowSettings
from tests.apart_children import children_apart

ROWS = np.random.default_rng(1).normal(size=(700, len(PLAN.names))).astype(np.float32)
SETTINGS = ShadowSettings(timeout="3s", start_timeout="20s")


class Shadow:
    """Candidates of some packages, by the version that stands for each."""

    def __init__(self, settings: ShadowSettings = SETTINGS) -> None:
        self.packages: list[ModelPackage | Exception] = []
        self.candidates = Candidates(self._open, PLAN.names, settings)

    def _open(self, version: ModelVersion) -> OpenCandidate:
        package = self.packages[version.version - 1]
        if isinstance(package, Exception):
            raise package
        return OpenCandidate(package, Policy(PolicySettings(), package.thresholds))

    def follow(self, **packages: ModelPackage | Exception) -> None:
        wanted = {}
        for name, package in packages.items():
            if package not in self.packages:
                self.packages.append(package)
            number = self.packages.index(package) + 1
            wanted[name] = ModelVersion(version=number, package=f"{number:064x}")
        self.wanted = wanted
        self.candidates.follow(wanted)

    def wait(self, until: Callable[[dict[str, State]], bool], seconds: float = 60.0) -> None:
        deadline = monotonic() + seconds
        while not until(self.states()):
            assert monotonic() < deadline, self.candidates.states()
            self.candidates.follow(self.wanted)
            sleep(0.05)

    def states(self) -> dict[str, State]:
        return {name: state for name, (_, state, _) in self.candidates.states().items()}

    def reason(self, name: str) -> str:
        return self.candidates.states()[name][2]

    def close(self) -> None:
        self.candidates.close()


@pytest.fixture
def shadow() -> Iterator[Shadow]:
    made = Shadow()
    yield made
    made.candidates.close()
    assert not children_apart()


def all_answer(states: dict[str, State]) -> bool:
    return set(states.values()) == {State.ANSWERING}


def test_a_candidate_answers_with_the_bits_of_a_champion(
    shadow: Shadow, model: ModelPackage
) -> None:
    shadow.follow(a=model, b=model)
    assert shadow.candidates.infer(ROWS) == {}, "who is not ready is not asked"
    shadow.wait(all_answer)
    with CpuEngine(model, PLAN.names) as engine:
        engine.warm_up()
        for count in (0, 1, 7, 700):
            said = shadow.candidates.infer(ROWS[:count])
            assert said.keys() == {"a", "b"}
            expected = engine.infer(ROWS[:count])
            for answers in said.values():
                assert not isinstance(answers.outputs, str), answers.outputs
                for column in ("score", "probability"):
                    ours, theirs = getattr(answers.outputs, column), getattr(expected, column)
                    assert ours.tobytes() == theirs.tobytes(), (column, count)
                np.testing.assert_allclose(answers.outputs.anomaly, expected.anomaly, atol=1e-6)


def test_they_come_and_go_while_the_others_answer(shadow: Shadow, model: ModelPackage) -> None:
    shadow.follow(a=model)
    shadow.wait(all_answer)
    (first,) = children_apart()
    session = Path(f"/proc/{first.pid}/autogroup")
    if session.exists():  # else this kernel shares out processors by process alone
        assert session.read_text().split()[1:] == ["nice", str(SETTINGS.niceness + 4)]
    shadow.follow(a=model, b=model)
    assert shadow.candidates.infer(ROWS[:3]).keys() == {"a"}
    shadow.wait(all_answer)
    shadow.follow(b=model)
    assert shadow.candidates.infer(ROWS[:3]).keys() == {"b"}
    assert not psutil.pid_exists(first.pid)


@pytest.mark.parametrize(
    "how",
    [signal.SIGSTOP, signal.SIGKILL, pytest.param(signal.SIGSEGV, marks=pytest.mark.exhaustive)],
)
def test_one_that_hangs_or_dies_fails_alone_and_is_started_again(
    shadow: Shadow, model: ModelPackage, how: signal.Signals
) -> None:
    shadow.follow(bad=model)
    shadow.wait(all_answer)
    (bad,) = children_apart()
    shadow.follow(bad=model, good=model)
    shadow.wait(all_answer)
    os.kill(bad.pid, how)
    start = monotonic()
    said = shadow.candidates.infer(ROWS)
    assert monotonic() - start < 10
    assert isinstance(said["bad"].outputs, str)
    assert ("in time" if how == signal.SIGSTOP else how.name) in said["bad"].outputs
    assert not isinstance(said["good"].outputs, str)
    assert shadow.states() == {"bad": State.PAUSED, "good": State.ANSWERING}
    assert shadow.candidates.infer(ROWS).keys() == {"good"}
    shadow.wait(all_answer)
    assert not isinstance(shadow.candidates.infer(ROWS)["bad"].outputs, str)


def test_a_package_that_eats_memory_never_answers(
    shadow: Shadow, model: ModelPackage, tmp_path: Path
) -> None:
    bad = forged(model, tmp_path, hungry_graph(model))
    shadow.follow(bad=bad, good=model)
    shadow.wait(lambda states: states["bad"] is State.PAUSED)
    shadow.wait(lambda states: states["good"] is State.ANSWERING)
    assert "its process can't start" in shadow.reason("bad")
    assert shadow.candidates.infer(ROWS).keys() == {"good"}


def test_one_that_hangs_at_its_start_is_given_up_at_its_deadline(
    model: ModelPackage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = [0.0]
    monkeypatch.setattr(candidate_module, "monotonic", lambda: monotonic() + late[0])
    hangs = forged(model, tmp_path, endless_graph(model))
    with closing(Shadow(SETTINGS.model_copy(update={"start_timeout": 3_600_000}))) as shadow:
        shadow.follow(good=model)
        shadow.wait(all_answer)
        shadow.follow(good=model, hangs=hangs)
        shadow.wait(lambda _: len(children_apart()) == 2)
        for late[0] in (0.0, 3_000.0):
            shadow.candidates.follow(shadow.wanted)
            assert shadow.states() == {"good": State.ANSWERING, "hangs": State.STARTING}
            assert shadow.candidates.infer(ROWS).keys() == {"good"}
        late[0] = 3_601.0
        shadow.candidates.follow(shadow.wanted)
        assert shadow.states() == {"good": State.ANSWERING, "hangs": State.PAUSED}
        assert "shadow.start_timeout" in shadow.reason("hangs")
        assert len(children_apart()) == 1
        assert not isinstance(shadow.candidates.infer(ROWS)["good"].outputs, str)


def test_a_pipe_that_breaks_is_the_failure_of_one_alone(
    shadow: Shadow, model: ModelPackage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(file: int, size: int) -> bytes:
        if file == pipe:
            raise OSError(errno.EIO, "the pipe is broken")
        return read(file, size)

    shadow.follow(bad=model, good=model)
    shadow.wait(all_answer)
    read, pipe = os.read, shadow.candidates._all["bad"][1]._resident._from.fileno()
    monkeypatch.setattr(os, "read", broken)
    said = shadow.candidates.infer(ROWS)
    monkeypatch.undo()
    assert "the pipe is broken" in said["bad"].outputs
    assert not isinstance(said["good"].outputs, str)
    assert shadow.states() == {"bad": State.PAUSED, "good": State.ANSWERING}
    shadow.wait(all_answer)


def test_a_machine_that_starts_no_process_is_asked_again(
    shadow: Shadow, model: ModelPackage
) -> None:
    """A package that is refused is tried no more: none is to blame for a full disk."""
    full = OSError(errno.ENOSPC, "the disk is full")
    shadow.follow(good=model, other=full)
    shadow.wait(lambda states: states == {"good": State.ANSWERING, "other": State.PAUSED})
    assert "the disk is full" in shadow.reason("other")
    shadow.packages[shadow.packages.index(full)] = model
    shadow.wait(all_answer)


def test_a_registry_that_is_away_is_asked_again_and_a_bad_package_is_not(
    shadow: Shadow, model: ModelPackage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidate_module, "_AWAY_S", 0.1)
    shadow.follow(away=RegistryAwayError("nobody answers"), bad=InferenceError("other features"))
    shadow.wait(lambda states: states == {"away": State.PAUSED, "bad": State.REFUSED})
    assert shadow.reason("bad") == "other features"
    shadow.packages[:] = [model, model]
    shadow.wait(lambda states: states["away"] is State.ANSWERING)
    assert shadow.states()["bad"] is State.REFUSED


def test_of_more_than_there_may_be_the_first_by_name_are_tried(
    model: ModelPackage, caplog: pytest.LogCaptureFixture
) -> None:
    shadow = Shadow(SETTINGS.model_copy(update={"max_candidates": 1}))
    try:
        shadow.follow(b=model, a=model)
        assert shadow.states().keys() == {"a"}
        assert "candidates b are left out" in caplog.text
    finally:
        shadow.candidates.close()
