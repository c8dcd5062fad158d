"""Transactions whose end can't be waited for."""

import threading
from collections.abc import Callable, Iterator

import pytest
from confluent_kafka import Consumer, TopicPartition

from streams import transactor as transactor_module
from streams.kafka import KafkaSettings
from streams.reading import read_to_end
from streams.transaction_errors import OutlivedError
from streams.transactor import Aborted, Committed, Outgoing, Transactor

MakeTopics = Callable[..., tuple[str, ...]]


def test_a_call_that_never_comes_back_is_fenced_off(
    kafka: str, make_topics: MakeTopics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transactor_module, "_OVERDUE_S", 1.0)
    settings = KafkaSettings(bootstrap_servers=kafka)
    (topic,) = make_topics("stuck")
    transactor = Transactor(settings, topic, 4_000, only_ours=True)
    transactor.start()
    group = Consumer(settings.consumer_config(group_id=topic)).consumer_group_metadata()
    released = threading.Event()

    def stuck() -> Iterator[None]:
        yield None
        released.wait()
        yield None

    try:
        hangs = Outgoing(topic, [b"hangs", b"hangs"], stuck(), [0, 0])  # type: ignore[arg-type]
        transactor.submit([hangs], [], group)
        assert transactor.settle(wait=False) is None
        outcome = transactor.settle(wait=True)
        assert isinstance(outcome, Aborted)
        assert outcome.reason == "a call of Kafka's client has not come back for 3 s"
        assert not outcome.records_at_fault
        transactor.submit([Outgoing(topic, [b"goes"], [None], [0])], [], group)
        assert isinstance(transactor.settle(wait=True), Committed)
        transactor.close()
        assert not released.is_set()
    finally:
        released.set()
    transactor.close()
    seen = [message.value() for batch in read_to_end(settings, topic) for message in batch]
    assert seen == [b"goes"]


def test_a_call_that_never_comes_back_ends_a_process_that_may_be_replaced(
    kafka: str, make_topics: MakeTopics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transactor_module, "_OVERDUE_S", 1.0)
    (topic,) = make_topics("stuck")
    transactor = Transactor(KafkaSettings(bootstrap_servers=kafka), topic, 1_000)
    transactor.start()
    released = threading.Event()

    def stuck() -> Iterator[None]:
        released.wait()
        yield None

    try:
        transactor.submit([Outgoing(topic, [b"a"], stuck(), [0])], [], None)  # type: ignore[arg-type]
        with pytest.raises(OutlivedError, match="not come back for 2 s: start again"):
            transactor.settle(wait=True)
        transactor.close()  # does not wait either
        assert not released.is_set()
    finally:
        released.set()


class Hanging:
    """A producer in the state of librdkafka's issue 5456, whose calls outlive their timeouts."""

    def __init__(self) -> None:
        self.released = threading.Event()

    def init_transactions(self, timeout: float) -> None:
        self.released.wait()

    def begin_transaction(self) -> None:
        pass

    def send_offsets_to_transaction(self, *_: object) -> None:
        self.released.wait()


@pytest.mark.parametrize("only_ours", [True, False])
def test_a_start_and_a_probe_that_never_come_back_end_the_process(
    only_ours: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transactor_module, "_OVERDUE_S", 0.1)
    nowhere = KafkaSettings(bootstrap_servers="127.0.0.1:1")
    transactor = Transactor(nowhere, "hanging", 1_000, only_ours=only_ours)
    transactor._producer = hanging = Hanging()
    try:
        with pytest.raises(OutlivedError, match=r"not come back for 1.1 s: start again"):
            transactor.start()
        with pytest.raises(OutlivedError, match=r"not come back for 1.1 s: start again"):
            transactor.probe(TopicPartition("a", 0, 0), None)
    finally:
        hanging.released.set()
