"""Requeueing and purging on the real broker."""

import json
from collections import Counter
from threading import Event, Timer

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from streams.dead_letters.letter import dead_letter
from streams.dead_letters.purge import PurgeError, plan_purge, purge
from streams.dead_letters.reader import EVERYTHING, DeadLetterReader, RecordAddress, Selection, mark
from streams.dead_letters.requeue import RequeueError, Requeuer
from streams.events.rejection import Reason, Rejected
from streams.kafka.client import KafkaSettings
from streams.kafka.records.consuming import read_to_end
from streams.transactions.errors import FencedError
from tests.streams.settled import wait_until_settled


class _Original:
    """A record as it stood in its topic."""

    def __init__(self, topic, partition, offset, value, headers=()):
        self._facts = (topic, partition, offset, (1, 1_000 + offset), b"card", value, list(headers))

    def topic(self):
        return self._facts[0]

    def partition(self):
        return self._facts[1]

    def offset(self):
        return self._facts[2]

    def timestamp(self):
        return self._facts[3]

    def key(self):
        return self._facts[4]

    def value(self):
        return self._facts[5]

    def headers(self):
        return self._facts[6]


def fill(kafka, topic, originals, reasons=(Reason.NOT_JSON,), max_bytes=10_000, start=0):
    """Letters of originals in a topic: partition by turns, reasons by turns, a second apart."""
    producer = Producer({"bootstrap.servers": kafka})
    for i, original in enumerate(originals, start):
        rejected = Rejected(0, reasons[i % len(reasons)], "amount", f"detail {i}")
        letter = dead_letter(original, rejected, 1_000_000 + i * 1_000, max_bytes)
        producer.produce(topic, letter.value, letter.key, i % 2, headers=letter.headers)
    assert producer.flush(60) == 0


@pytest.fixture
def world(kafka, make_topics):
    """Ten letters of two reasons in a topic of two partitions."""
    letters, events = make_topics("letters", "events", partitions=2)
    originals = [
        _Original(events, i % 2, 100 + i, b'{"n": %d}' % i, [("trace", b"%d" % i)])
        for i in range(10)
    ]
    fill(kafka, letters, originals, (Reason.NOT_JSON, Reason.NOT_JSON, Reason.TOO_LONG))
    settings = KafkaSettings(bootstrap_servers=kafka)
    return DeadLetterReader(settings, letters), AdminClient({"bootstrap.servers": kafka}), events


def contents(box, topic):
    wait_until_settled(AdminClient({"bootstrap.servers": box.kafka.bootstrap_servers}), topic)
    return [m for batch in read_to_end(box.kafka, topic) for m in batch]


def test_letters_go_back_once_with_their_history_and_are_known_to_have_gone(world):
    box, admin, events = world
    selection = Selection(reasons=frozenset(["not_json"]))
    planned = Requeuer(box, admin, selection).plan()
    assert contents(box, events) == []
    report = Requeuer(box, admin, selection).run(Event())
    assert report == planned
    assert (report.sent, report.reasons) == ({events: 7}, {"not_json": 7})

    sent = contents(box, events)
    assert sorted(m.value() for m in sent) == [b'{"n": %d}' % i for i in (0, 1, 3, 4, 6, 7, 9)]
    for message in sent:
        n = json.loads(message.value())["n"]
        headers = dict(message.headers())
        assert message.partition() == n % 2
        assert message.key() == b"card"
        assert headers["trace"] == b"%d" % n
        assert headers["weir.offset"] == b"%d" % (100 + n)
        assert message.timestamp()[1] > 1_000_000_000_000

    again = Requeuer(box, admin, EVERYTHING).run(Event())
    assert (again.sent, again.already) == ({events: 3}, 7)
    assert Requeuer(box, admin, EVERYTHING).run(Event()).total == 0
    assert len(contents(box, events)) == 10
    wait_until_settled(admin, box.topic)
    stored = list(box.letters(box.marks()))
    assert len(stored) == 10
    assert all(each.requeued_ms > 1_000_000_000_000 for each in stored)
    assert box.foreign == 0


def test_a_requeued_record_that_is_rejected_again_is_a_new_letter(world, kafka):
    box, admin, events = world
    Requeuer(box, admin, EVERYTHING, limit=1).run(Event())
    [message] = contents(box, events)
    rejected = Rejected(0, Reason.TOO_LONG, None, "again")
    letter = dead_letter(message, rejected, 2_000_000_000_000, 10_000)
    producer = Producer({"bootstrap.servers": kafka})
    producer.produce(box.topic, letter.value, letter.key, 0, headers=letter.headers)
    assert producer.flush(60) == 0
    newest = max(box.letters(box.marks()), key=lambda stored: stored.letter.at_ms)
    assert newest.requeued_ms is None
    assert newest.letter.attempts == 2
    assert newest.letter.history[0]["detail"].startswith("detail")


def test_to_another_topic_and_one_that_is_missing(world, make_topics):
    box, admin, events = world
    [elsewhere] = make_topics("elsewhere")
    report = Requeuer(box, admin, Selection(partition=1), elsewhere, limit=3).run(Event())
    assert report.sent == {elsewhere: 3}
    assert contents(box, events) == []
    assert len(contents(box, elsewhere)) == 3
    with pytest.raises(RequeueError, match="no topic 'nowhere'"):
        Requeuer(box, admin, EVERYTHING, "nowhere").plan()
    with pytest.raises(RequeueError, match="dead-letter topic itself"):
        Requeuer(box, admin, EVERYTHING, box.topic).plan()


def test_letters_of_a_topic_that_is_gone_are_refused(kafka, make_topics):
    [letters] = make_topics("letters", partitions=2)
    fill(kafka, letters, [_Original("gone", 0, 1, b"x")])
    box = DeadLetterReader(KafkaSettings(bootstrap_servers=kafka), letters)
    with pytest.raises(RequeueError, match=r"no topic 'gone' any more.*gone/0/1"):
        Requeuer(box, AdminClient({"bootstrap.servers": kafka}), EVERYTHING).plan()


def test_partial_letters_stay(world, kafka):
    box, admin, events = world
    fill(kafka, box.topic, [_Original(events, 0, 999, b"x" * 9_000)], max_bytes=5_000, start=10)
    report = Requeuer(box, admin, EVERYTHING).run(Event())
    assert (report.total, report.partial) == (10, 1)
    assert report.partial_example == f"{events}/0/999"


class _StopsAfter(Event):
    """Is set once it was asked so often."""

    def __init__(self, times):
        super().__init__()
        self._left = times

    def is_set(self):
        self._left -= 1
        return self._left < 0


def test_what_is_stopped_goes_on_and_two_at_a_time_send_nothing_twice(world, kafka, monkeypatch):
    box, admin, events = world
    monkeypatch.setattr("streams.dead_letters.sole_writer._LETTERS", 3)
    stopped = Requeuer(box, admin, EVERYTHING).run(_StopsAfter(1))
    assert (stopped.total, stopped.stopped) == (3, True)

    second: list[int] = []

    class _StartsAnother(Event):
        def is_set(self):
            if not second:
                second.append(Requeuer(box, admin, EVERYTHING).run(Event()).total)
            return False

    with pytest.raises(FencedError, match="another `weir dead-letters requeue`"):
        Requeuer(box, admin, EVERYTHING).run(_StartsAnother())
    assert second == [7]
    values = Counter(message.value() for message in contents(box, events))
    assert len(values) == 10
    assert set(values.values()) == {1}


def test_a_mark_behind_an_open_transaction_is_waited_for(world, kafka):
    """Readers of committed records can't see past a scorer's open transaction."""
    box, admin, events = world
    scorer = Producer({"bootstrap.servers": kafka, "transactional.id": f"{box.topic}-scorer"})
    scorer.init_transactions(60)
    scorer.begin_transaction()
    for partition in range(2):
        scorer.produce(box.topic, b"not yet", partition=partition)
    assert scorer.flush(60) == 0
    producer = Producer({"bootstrap.servers": kafka})
    for partition in range(2):
        value, headers = mark(range(5), 1_000)
        producer.produce(box.topic, value, partition=partition, headers=headers)
    assert producer.flush(60) == 0
    ends = Timer(1.0, scorer.abort_transaction, [60])
    ends.start()
    report = Requeuer(box, admin, EVERYTHING).run(Event())
    ends.join()
    assert (report.total, report.already) == (0, 10)
    assert contents(box, events) == []


def test_a_transaction_that_breaks_leaves_neither_record_nor_mark(world, monkeypatch):
    box, admin, events = world

    def broken(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("streams.dead_letters.requeue.mark", broken)
        with pytest.raises(KeyboardInterrupt):
            Requeuer(box, admin, EVERYTHING).run(Event())
    assert contents(box, events) == []
    assert Requeuer(box, admin, EVERYTHING).run(Event()).total == 10
    assert len(contents(box, events)) == 10


def test_a_mark_that_a_producer_forged_is_no_mark(world, kafka):
    """What comes in with such a header is rejected with the header as history."""
    box, _, events = world
    forged = _Original(events, 0, 1_000, b"[0, 1, 2]", [("weir.requeued", b"5")])
    fill(kafka, box.topic, [forged], start=10)
    assert box.marks() == {}
    assert len(list(box.letters({}))) == 11


def test_purge_deletes_a_beginning_and_nothing_else(world):
    box, admin, _ = world
    early = Selection(to_ms=1_004_000)
    plan = plan_purge(box, early)
    assert (plan.letters, plan.never_requeued, plan.ends) == (4, 4, {0: 2, 1: 2})
    purge(box, admin, plan)
    left = list(box.letters({}))
    assert [stored.letter.offset for stored in left if stored.place.partition == 0] == [
        104,
        106,
        108,
    ]
    with pytest.raises(PurgeError, match=r"only from the beginning .* stand before"):
        plan_purge(box, Selection(from_ms=1_008_000))
    assert len(list(box.letters({}))) == 6
    purge(box, admin, plan_purge(box, EVERYTHING))
    assert list(box.letters({})) == []
    purge(box, admin, plan_purge(box, EVERYTHING))


@pytest.mark.parametrize("text", ["a/b/3/14", "a/b[3]@14"])
def test_a_place_reads_back(text):
    assert RecordAddress.parse(text) == ("a/b", 3, 14)
    assert str(RecordAddress.parse(text)) == "a/b/3/14"


@pytest.mark.parametrize("text", ["", "a", "/1/2", "a/1", "a/x/2", "a/1/-2", "a/1/²"])
def test_no_place(text):
    with pytest.raises(ValueError, match="TOPIC/PARTITION/OFFSET"):
        RecordAddress.parse(text)
