"""A policy that scorers refuse, on the real broker; they are stood in for by their reports."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager

import pytest

from inference.control.commands import POLICY_KEY, PolicyCommand, encode
from inference.control.control_room import ControlRoom
from inference.control.reports import ScorerReport, report_key
from inference.control.signatures import CommandKeys
from inference.policy.policy import PolicySettings
from streams.base.clock import now_ms
from streams.kafka.client import KafkaSettings
from streams.kafka.records.control_topic import ControlReader, write_control
from weir.commands.models.outcome import Outcome, give

MODEL = "a" * 64
_PATIENCE_S = 60.0


@contextmanager
def scorer(
    name: str, kafka: KafkaSettings, topic: str, reports: str, refuses: bool, again: bool = False
) -> Iterator[None]:
    """Somebody who lives and says what it makes of policies; it may refuse all but version 1."""
    done = threading.Event()
    at = now_ms() - 1_000

    def say(asked: str, heard: dict[str, int]) -> None:
        nonlocal at
        at += 1
        refused = refuses and asked != "1"
        report = ScorerReport(
            outcome="refused" if refused else "serving",
            model=MODEL,
            policy="1" if refused else asked,
            asked_model=MODEL,
            asked_policy=asked,
            again=refused and again,
            heard=heard,
            at=at,
            alive=now_ms(),
        )
        write_control(kafka, reports, report_key(name), encode(report))

    def answer() -> None:
        with closing(ControlReader(kafka, topic)) as reader:
            while not done.is_set():
                for record in reader.read(0.1):
                    if record.key == POLICY_KEY:
                        command = PolicyCommand.model_validate_json(record.value or b"null")
                        say(command.policy.version, {POLICY_KEY: record.offset})

    say("1", {})
    thread = threading.Thread(target=answer)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@pytest.fixture
def give_bad(kafka: str, make_topics: Callable[..., list[str]]) -> Callable[..., Outcome]:
    """A function that sets a policy which a scorer refuses, after one that it takes."""
    (topic,) = make_topics("control")
    (reports,) = make_topics("reports")
    settings = KafkaSettings(bootstrap_servers=kafka)

    def give_bad(stands: str, again: bool = False, other: bool = False) -> Outcome:
        with ExitStack() as stack:
            stack.enter_context(scorer("ann", settings, topic, reports, True, again))
            if other:
                stack.enter_context(scorer("ben", settings, topic, reports, False))
            room = stack.enter_context(closing(ControlRoom(settings, CommandKeys(topic), reports)))
            first = PolicyCommand(policy=PolicySettings(), expects=None, by="ada", at=1)
            assert not give(room, POLICY_KEY, first, _PATIENCE_S, True).failed
            bad = PolicyCommand(
                policy=PolicySettings(version="2"), expects=first.named, by="bob", at=2
            )
            outcome = give(room, POLICY_KEY, bad, _PATIENCE_S, True)
            assert outcome.failed
            assert room.policy is not None
            assert room.policy.policy.version == stands
            return outcome

    return give_bad


def test_a_policy_that_all_refuse_is_taken_back(give_bad: Callable[..., Outcome]) -> None:
    outcome = give_bad("1")
    assert outcome.taken_back
    assert outcome.said["changed"] is False
    assert outcome.said["problems"] == [
        "every scorer refuses it, so it is taken back: the policy is 1 again"
    ]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"other": True}, "ann refuses it; ben goes by it"),
        ({"again": True}, "ann will try it again"),
    ],
)
def test_what_not_all_refuse_for_good_is_left_and_says_how_to_take_it_back(
    give_bad: Callable[..., Outcome], options: dict[str, bool], why: str
) -> None:
    outcome = give_bad("2", **options)
    assert not outcome.taken_back
    (problem,) = outcome.said["problems"]
    assert why in problem
    assert "`weir policy set` takes it back" in problem
