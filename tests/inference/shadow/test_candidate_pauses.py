"""How long a candidate that fails is left alone."""

from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from unittest.mock import Mock

import pytest

from inference.shadow import candidate as module
from inference.shadow.candidate import Candidate, CandidateError, State
from inference.shadow.settings import ShadowSettings
from streams.base.apart.resident import ResidentError

HEALTHY_S = 600


class Patient:
    """A candidate, a clock, and a process that is ready at once unless it `ails`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.ails, self.starts = 1_000_000.0, False, 0
        monkeypatch.setattr(module, "monotonic", lambda: self.now)
        monkeypatch.setattr(module, "in_thread", _at_once)
        monkeypatch.setattr(module, "Resident", self._start)
        package = Mock(id="0" * 64, folder=Path("package"))
        self.candidate = Candidate("c", lambda: Mock(package=package), [], ShadowSettings())
        self.candidate.look()

    def _start(self, *_: object, **__: object) -> Mock:
        self.starts += 1
        return Mock(answer_now=self._answer)

    def _answer(self) -> bytes:
        if self.ails:
            raise ResidentError("it ails")
        return b""

    def fails_after(self, seconds: float) -> None:
        """Fail when it has answered for so long."""
        assert self.candidate.state is State.ANSWERING
        self.now += seconds
        with pytest.raises(CandidateError):
            self.candidate.take(ResidentError("it died"))

    def paused_for(self) -> int:
        """Whole seconds until it is started again."""
        assert self.candidate.state is State.PAUSED
        began, starts = self.now, self.starts
        while self.starts == starts:
            self.now += 1
            self.candidate.look()
        return round(self.now - began)


def _at_once(call: Mock) -> "Future[Mock]":
    done: Future[Mock] = Future()
    done.set_result(call())
    return done


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> Iterator[Patient]:
    made = Patient(monkeypatch)
    yield made
    made.candidate.close()


def test_pauses_grow_to_five_minutes(patient: Patient) -> None:
    pauses = []
    for _ in range(11):
        patient.fails_after(HEALTHY_S)  # not longer than that
        pauses.append(patient.paused_for())
    assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]


def test_who_was_well_for_long_is_paused_for_a_moment_again(patient: Patient) -> None:
    for expected in (1, 2, 4):
        patient.fails_after(5)
        assert patient.paused_for() == expected
    for expected in (1, 2, 4):
        patient.fails_after(HEALTHY_S + 1 if expected == 1 else 5)
        assert patient.paused_for() == expected


def test_who_can_not_start_was_not_well(patient: Patient) -> None:
    """However long ago it last answered."""
    patient.ails = True
    patient.fails_after(5)
    pauses = [patient.paused_for() for _ in range(12)]
    assert pauses[:9] == [1, 2, 4, 8, 16, 32, 64, 128, 256]
    assert set(pauses[9:]) == {300}
