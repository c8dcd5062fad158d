"""Commands and the scorers' words to them, on a control topic in memory."""

from collections.abc import Callable, Iterator

import pytest

from inference.control.commands import CHAMPION_KEY, POLICY_KEY, encode
from inference.control.control_room import ControlRoom, Given
from inference.control.reports import ScorerReport, report_key
from inference.control.signatures import CommandKeys
from streams.base.clock import now_ms
from streams.kafka.client import KafkaSettings
from streams.kafka.records.control_topic import ControlRecord

MODEL = "a" * 64


def report(at: int, **heard: int) -> ScorerReport:
    return ScorerReport(
        outcome="serving",
        model=MODEL,
        policy="1",
        asked_model=MODEL,
        asked_policy="1",
        heard=heard,
        at=at,
        alive=now_ms(),
    )


class Topic:
    """Stands in for the readers: what stood there at first, and what comes with each read."""

    first: list[ControlRecord]
    news: Iterator[list[ControlRecord]]

    def __init__(self, kafka: KafkaSettings, topic: str) -> None:
        pass

    def close(self) -> None:
        pass

    def read_to_end(
        self, counts: Callable[[ControlRecord], bool] = lambda record: True
    ) -> dict[str, ControlRecord]:
        return {record.key: record for record in self.first if counts(record)}

    def read(self, timeout_s: float) -> list[ControlRecord]:
        return next(self.news, [])


@pytest.fixture
def topic(monkeypatch: pytest.MonkeyPatch) -> type[Topic]:
    monkeypatch.setattr("inference.control.control_room.ControlReader", Topic)
    return Topic


def room() -> ControlRoom:
    return ControlRoom(KafkaSettings(), CommandKeys("control"), "reports")


def test_a_repeated_report_is_no_answer(topic: type[Topic]) -> None:
    key = report_key("scorer")
    topic.first = [ControlRecord(key, encode(report(at=1)), 0, 1)]
    repeated = [ControlRecord(key, encode(report(at=1)), 0, 2)]
    topic.news = iter([repeated])
    assert room().answers(0.1) == {"scorer": None}
    topic.news = iter([repeated, [ControlRecord(key, encode(report(at=2)), 0, 3)]])
    answer = room().answers(60.0)["scorer"]
    assert answer is not None
    assert answer.at == 2


def test_a_word_about_another_command_is_no_answer(topic: type[Topic]) -> None:
    key = report_key("scorer")
    topic.first = [ControlRecord(key, encode(report(1, champion=5)), 0, 6)]
    given = Given(CHAMPION_KEY, 7, {"scorer": 1})
    news = [
        [ControlRecord(key, encode(report(2, champion=5, policy=9)), 0, 10)],
        [ControlRecord(key, encode(report(3, champion=7, policy=9)), 0, 11)],
    ]
    topic.news = iter(news[:1])
    assert room().answers(0.1, given=given) == {"scorer": None}
    topic.news = iter(news)
    answer = room().answers(60.0, given=given)["scorer"]
    assert answer is not None
    assert answer.at == 3


@pytest.mark.parametrize("value", [b"\x00garbage", b"{}", b"[" * 100_000])
def test_what_can_not_be_read_can_be_said_again(
    topic: type[Topic], value: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    topic.first = [ControlRecord(CHAMPION_KEY, value, 0, 1), ControlRecord(POLICY_KEY, value, 0, 2)]
    found = room()
    assert (found.champion, found.policy) == (None, None)
    assert "offset 1" in caplog.text
    assert "offset 2" in caplog.text
