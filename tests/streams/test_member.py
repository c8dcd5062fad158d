"""What a member does where the cluster does not answer."""

from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from streams.kafka import KafkaSettings
from streams.loop_settings import LoopSettings
from streams.member import GroupMember


def test_a_client_that_gets_no_answer_for_long_is_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = [0.0]
    asked: list[Any] = []
    answers = False

    def stable_offsets(admin: Any, *_: Any) -> list[Any]:
        asked.append(admin)
        if not answers:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        return []

    monkeypatch.setattr("streams.member.stable_offsets", stable_offsets)
    monkeypatch.setattr("streams.member.monotonic", lambda: clock[0])
    kafka = KafkaSettings(bootstrap_servers="127.0.0.1:9", properties={"log_level": 0})
    member = GroupMember(kafka, LoopSettings(), ["events"], lambda _: None, lambda _: None)

    def ask(after_s: float) -> Any:
        clock[0] += after_s
        if answers:
            member.stable_offsets([("events", 0)], 1.0)
        else:
            with pytest.raises(KafkaException):
                member.stable_offsets([("events", 0)], 1.0)
        return asked[-1]

    first = ask(0.0)
    assert ask(5.0) is first
    assert ask(2.0) is first, "and now it is given up"
    second = ask(0.1)
    assert second is not first
    assert ask(5.0) is second
    answers = True
    assert ask(2.0) is second
    answers = False
    assert ask(60.0) is second, "it answered a moment ago"
    assert ask(1.0) is second
    member.close()
