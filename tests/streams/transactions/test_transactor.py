"""Transactions whose end can't be waited for."""

import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from threading import Event, Timer
from time import monotonic, sleep
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from deaf_proxy import DeafProxy

from streams.base import bounded_calls as waiting_module
from streams.base.bounded_calls import StoppedError
from streams.kafka.client import KafkaSettings
from streams.kafka.cluster_watch import ClusterWatch
from streams.kafka.records.consuming import read_to_end
from streams.transactions import call_watch
from streams.transactions import transactor as transactor_module
from streams.transactions.errors import FencedError, OutlivedError
from streams.transactions.outcome import Aborted, Committed, Outgoing
from streams.transactions.position_log import PositionLog
from streams.transactions.transactor import Transactor
from weir.broker import BrokerSettings, LocalBroker

MakeTopics = Callable[..., tuple[str, ...]]
NOWHERE = KafkaSettings(bootstrap_servers="127.0.0.1:1")


def test_a_call_that_never_comes_back_is_fenced_off(
    kafka: str, make_topics: MakeTopics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call_watch, "OVERDUE_S", 1.0)
    settings = KafkaSettings(bootstrap_servers=kafka)
    (topic,) = make_topics("stuck")
    transactor = Transactor(settings, topic, 4_000, Event())
    transactor.start()
    group = Consumer(settings.consumer_config(group_id=topic)).consumer_group_metadata()
    released = Event()

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
        assert outcome.reason.startswith("a call of Kafka's client has not come back for 3")
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


def test_a_call_that_never_comes_back_leaves_the_id_to_a_successor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(transactor_module, "_GRACE_S", 0.0)
    transactor = Transactor(NOWHERE, "hangs", 1_000, Event(), successor=lambda within_s: True)
    transactor._producer.client = hanging = Hanging()
    transactor._calls.patience_s = 1.0
    try:
        transactor.submit([], [], None)
        with pytest.raises(FencedError, match="'hangs' took over"):
            transactor.settle(wait=True)
    finally:
        hanging.released.set()


def test_after_a_lost_connection_a_call_is_not_waited_for_for_long(
    kafka: str, make_topics: MakeTopics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call_watch, "_OVERDUE_AFTER_LOSS_S", 0.2)
    settings = KafkaSettings(bootstrap_servers=kafka)
    (topic,) = make_topics("lost")
    watch = ClusterWatch(settings)
    transactor = Transactor(settings, topic, 600_000, Event(), watch=watch)
    transactor._producer.client = hanging = Hanging()
    group = Consumer(settings.consumer_config(group_id=topic)).consumer_group_metadata()
    try:
        transactor.submit([], [], group)
        watch.away, watch.lost_at = True, monotonic()
        sleep(0.5)
        assert transactor.settle(wait=False) is None, "nothing is to be had of a cluster away"
        assert transactor.busy
        watch.away = False
        assert isinstance(transactor.settle(wait=True), Aborted)
        transactor.submit([Outgoing(topic, [b"goes"], [None], [0])], [], group)
        assert isinstance(transactor.settle(wait=True), Committed)
    finally:
        hanging.released.set()


def test_of_two_that_take_the_id_from_each_other_the_younger_remains(
    kafka: str, make_topics: MakeTopics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.transactions.successor._JOINS_S", 0.0)
    settings = KafkaSettings(bootstrap_servers=kafka)
    (topic,) = make_topics("rivals")
    group = Consumer(settings.consumer_config(group_id=topic)).consumer_group_metadata()
    seen: list[float] = []

    def successor_comes(within_s: float) -> bool:
        seen.append(within_s)
        return len(seen) > 1

    elder = Transactor(settings, topic, 10_000, Event(), successor=successor_comes)
    younger = Transactor(settings, topic, 10_000, Event(), successor=lambda within_s: False)

    def commits(transactor: Transactor) -> Committed | Aborted | None:
        transactor.submit([Outgoing(topic, [b"a"], [None], [0])], [], group)
        return transactor.settle(wait=True)

    elder.start()
    younger.start()
    assert isinstance(commits(elder), Aborted), "nobody is seen yet: it takes the id back"
    assert isinstance(commits(elder), Committed)
    assert isinstance(commits(younger), Aborted), "so does the younger"
    with pytest.raises(FencedError, match="took over"):
        commits(elder)
    assert isinstance(commits(younger), Committed)


def test_what_follows_on_an_abort_is_not_taken_for_a_repetition(tmp_path: Path) -> None:
    """The aborted record stands in the log, and its acknowledgement was lost.

    librdkafka 2.16 gives its number to the next record, which the broker then drops: the client
    reports that record as delivered, and its transaction as committed.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    proxy = DeafProxy(port)
    advertised = {"advertised.listeners": f"CLIENT://127.0.0.1:{proxy.port}"}
    settings = KafkaSettings(bootstrap_servers=f"127.0.0.1:{proxy.port}")

    def while_answers_get_lost() -> Iterator[None]:
        yield None
        while b"aborted" not in uncommitted(settings):
            sleep(0.1)
        proxy.hold_answers()
        yield None
        sleep(1.0)  # it is written, and the answer is held
        proxy.lose_answers()
        Timer(1.5, proxy.let_in).start()
        yield None

    broker = BrokerSettings(data_dir=tmp_path / "broker", port=port, properties=advertised)
    with closing(proxy), LocalBroker(broker):
        admin = AdminClient(settings.client_config())
        admin.create_topics([NewTopic("repetition", 1, 1)])["repetition"].result(30)
        transactor = Transactor(settings, "repetition", 30_000, Event())
        transactor.start()
        group = Consumer(settings.consumer_config(group_id="repetition")).consumer_group_metadata()
        transactor.submit([Outgoing("repetition", [b"first"], [None], [0])], [], group)
        assert isinstance(transactor.settle(wait=True), Committed)
        values = [b"aborted", b"unanswered", bytes(17_000_000)]  # the last is refused
        keys = while_answers_get_lost()
        transactor.submit([Outgoing("repetition", values, keys, [0, 0, 0])], [], group)  # type: ignore[arg-type]
        outcome = transactor.settle(wait=True)
        assert isinstance(outcome, Aborted)
        assert outcome.records_at_fault
        for value in (b"next", b"last"):
            transactor.submit([Outgoing("repetition", [value], [None], [0])], [], group)
            assert isinstance(transactor.settle(wait=True), Committed)
        transactor.close()
        seen = [each.value() for batch in read_to_end(settings, "repetition") for each in batch]
        assert seen == [b"first", b"next", b"last"]
        assert b"unanswered" in uncommitted(settings), "nothing to take for a repetition"


class Lingering:
    """A producer that is in no hurry to send, and notes what stands in a log at the question."""

    def __init__(self, settings: KafkaSettings, topic: str) -> None:
        config = settings.producer_config(transactional_id=topic, linger_ms=1_000)
        self._producer = Producer(config)
        config = settings.consumer_config(group_id=topic, isolation_level="read_uncommitted")
        self._asker = Consumer(config)
        self._log = TopicPartition(topic, 0)
        self.in_the_log = -1

    def __getattr__(self, name: str) -> Any:
        return getattr(self._producer, name)

    def send_offsets_to_transaction(self, *args: Any) -> None:
        self.in_the_log = self._asker.get_watermark_offsets(self._log, 10)[1]
        self._producer.send_offsets_to_transaction(*args)


@pytest.mark.parametrize("shared", [True, False])
def test_a_shared_groups_records_are_written_before_the_group_is_asked(
    kafka: str, make_topics: MakeTopics, shared: bool
) -> None:
    """Else who gets our partitions finds neither our transaction nor where it leads.

    So it was behind a coordinator that had lost the offsets that were open: the campaign of faults
    found events answered twice.
    """
    settings = KafkaSettings(bootstrap_servers=kafka)
    (topic,) = make_topics("written")
    transactor = Transactor(settings, topic, 10_000, Event())
    client = Lingering(settings, topic)
    transactor._producer.client = client
    transactor.start()
    transactor.log_to(PositionLog(topic, topic, {topic: "id"}), shared=shared)
    group = Consumer(settings.consumer_config(group_id=topic)).consumer_group_metadata()
    transactor.submit([], [TopicPartition(topic, 0, 5)], group)
    assert isinstance(transactor.settle(wait=True), Committed)
    assert client.in_the_log == (1 if shared else 0)


def uncommitted(settings: KafkaSettings) -> list[bytes | None]:
    """All that stands in the topic, whatever becomes of its transactions."""
    config = settings.consumer_config(group_id="uncommitted", isolation_level="read_uncommitted")
    consumer = Consumer(config)
    consumer.assign([TopicPartition("repetition", 0, 0)])
    values = []
    with closing(consumer):
        while (message := consumer.poll(30)) is not None and message.error() is None:
            values.append(message.value())
    return values


class Hanging:
    """A producer in the state of librdkafka's issue 5456, whose calls outlive their timeouts."""

    def __init__(self) -> None:
        self.released = Event()

    def init_transactions(self, timeout: float) -> None:
        self.released.wait()

    def begin_transaction(self) -> None:
        pass

    def poll(self, timeout: float) -> None:
        pass

    def send_offsets_to_transaction(self, *_: object) -> None:
        self.released.wait()


def test_a_start_that_never_comes_back_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transactor_module, "OVERDUE_S", 0.1)
    transactor = Transactor(NOWHERE, "hanging", 1_000, Event())
    transactor._producer.client = hanging = Hanging()
    try:
        with pytest.raises(OutlivedError, match=r"not come back for 1.1 s: start again"):
            transactor.start()
    finally:
        hanging.released.set()


class TakenOver:
    """A producer that learns only from its abort that another one has taken over."""

    def __init__(self, says: int) -> None:
        self.says = says

    def begin_transaction(self) -> None:
        raise KafkaException(KafkaError(self.says, "it can't go on"))

    def abort_transaction(self, timeout_s: float) -> None:
        raise KafkaException(KafkaError(KafkaError._FENCED, "fenced", fatal=True))


@pytest.mark.parametrize("says", [KafkaError._STATE, KafkaError._FATAL])
def test_who_learns_only_when_aborting_that_it_was_replaced_says_so(says: int) -> None:
    transactor = Transactor(NOWHERE, "ours", 10_000, Event())
    transactor._producer.client = TakenOver(says)
    transactor.submit([], [], None)
    with pytest.raises(FencedError, match="transactional id 'ours' took over"):
        transactor.settle(wait=True)


def test_who_is_told_to_stop_waits_a_moment_for_a_cluster_that_is_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(waiting_module, "_FAREWELL_S", 0.5)
    stop = Event()
    transactor = Transactor(NOWHERE, "stopped", 600_000, stop)
    transactor._producer.client = hanging = Hanging()
    told = Timer(0.3, stop.set)
    told.start()
    try:
        with pytest.raises(StoppedError, match="while Kafka's client waits"):
            transactor.start()
        transactor.submit([], [], None)
        with pytest.raises(StoppedError, match="while Kafka's client waits"):
            transactor.settle(wait=True)
        transactor.close()  # does not wait for what is given up
    finally:
        hanging.released.set()
        told.join()
