"""A process apart that stays: it answers, or we hear within the time why not."""

from pathlib import Path
from time import monotonic

import psutil
import pytest

from streams.base.apart.resident import Resident, ResidentError, answers
from streams.base.apart.starter import Bounds
from tests.apart_children import children_apart

BOUNDS = Bounds(cpu_s=1_000, wall_s=1, memory_mb=1_000, file_mb=1)
SERVE = "from streams.base.apart.frames import answer_questions as serve\n"


def resident(code: str, bounds: Bounds = BOUNDS, most: int = 1 << 20) -> Resident:
    """Runs code apart; `timeit` does, once."""
    arguments = ["-n1", "-r1", "-s", SERVE + code]
    return Resident("test", bounds, "timeit", arguments=arguments, most=most)


def said(apart: Resident, question: bytes, within_s: float = 30.0) -> bytes:
    apart.ask(question)
    (answer,) = answers([apart], monotonic() + within_s)
    if isinstance(answer.said, Exception):
        raise answer.said
    return answer.said


def test_it_answers_one_question_after_another() -> None:
    with resident("serve(lambda question: question[::-1])") as apart:
        assert said(apart, b"") == b""
        for size in (1, 2, 1_000, 300_000, 0, 7):  # more than a pipe holds, too
            question = bytes(range(256)) * (size // 256 + 1)
            assert said(apart, question[:size]) == question[:size][::-1]


@pytest.mark.skipif(
    not Path("/proc/self/autogroup").exists(), reason="this kernel shares out by process alone"
)
def test_it_stands_back_as_a_session_too() -> None:
    """Where a kernel shares out processors by session, niceness is of no use between sessions."""
    with resident("serve(bytes)") as apart:
        said(apart, b"")
        apart.stand_back(7)
        (child,) = children_apart()
        assert Path(f"/proc/{child.pid}/autogroup").read_text().split()[1:] == ["nice", "7"]


def test_what_is_printed_is_no_answer() -> None:
    code = "def answer(question):\n print('noise')\n return question\nserve(answer)"
    with resident(code) as apart:
        assert said(apart, b"a") == b"a"
        assert said(apart, b"b") == b"b"


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("import time\ntime.sleep(60)", "did not answer in time"),
        ("while True: pass", "did not answer in time"),
        ("serve(lambda question: b'x' * 2_000_000)", "answers with 2,000,000 bytes"),
        ("import os\nos.write(1, b'\\1\\0\\0\\0ab')\nserve(len)", "says more than it was asked"),
        ("import os\nos._exit(7)", "ended with exit code 7"),
        ("import ctypes\nctypes.string_at(0)", "was ended by SIGSEGV"),
        ("serve(lambda question: bytes(2_000_000_000))", "ended with exit code 1"),
        ("serve(lambda question: 1 / 0)", "ended with exit code 1"),
    ],
)
def test_whoever_does_not_answer_is_told_of(code: str, why: str) -> None:
    with resident(code) as apart:
        start = monotonic()
        with pytest.raises(ResidentError, match=why):
            said(apart, b"x", within_s=1.5 if "time" in why else 30.0)
        assert monotonic() - start < 40


def test_one_that_hangs_keeps_nobody_waiting() -> None:
    """However large question and answer: more than a pipe holds."""
    echo, slow = "serve(lambda question: question)", "import time\ntime.sleep(60)"
    question = bytes(500_000)
    with resident(slow) as hangs, resident(echo) as first, resident(echo) as second:
        for apart in (hangs, first, second):
            apart.ask(question)
        start = monotonic()
        late, *good = answers([hangs, first, second], start + 3.0)
        assert "in time" in str(late.said)
        assert [each.said for each in good] == [question, question]
        assert all(each.at < start + 3.0 for each in good)


def test_it_is_gone_when_it_is_closed() -> None:
    with resident("import time\ntime.sleep(60)") as apart:
        (child,) = children_apart()
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
    assert not apart._apart.folder.exists()
