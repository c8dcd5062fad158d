"""What the topics must hold afterwards. Reads with Kafka's client and Arrow, not with Weir."""

import hashlib
import io
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from tests.fuzz.ledger import ANSWERED, REJECTED, Ledger, digest, own

_LETTER_BYTES = 900_000  # what any letter may weigh without being cut
_SHOWN = 20


class Violations:
    """What is wrong, by kind, with a few examples."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.examples: list[str] = []

    def add(self, kind: str, detail: str) -> None:
        """Note one."""
        self.counts[kind] += 1
        if len(self.examples) < _SHOWN:
            self.examples.append(f"{kind}: {detail}")


def read(bootstrap_servers: str, topic: str) -> Iterator[Any]:
    """Yield all committed records of a topic."""
    consumer = _consumer(bootstrap_servers)
    try:
        unread = set(consumer.list_topics(topic, timeout=30).topics[topic].partitions)
        consumer.assign([TopicPartition(topic, each, OFFSET_BEGINNING) for each in unread])
        while unread:
            for message in consumer.consume(5_000, 0.5):
                if message.error() is None:
                    yield message
                elif message.error().code() == KafkaError._PARTITION_EOF:
                    unread.discard(message.partition())
                else:
                    raise KafkaException(message.error())
    finally:
        consumer.close()


def check(
    bootstrap_servers: str, topics: dict[str, str], ledger: Ledger, violations: Violations
) -> Counter[str]:
    """Compare the topics with the ledger; returns the number of dead letters by reason."""
    letters = _Letters(bootstrap_servers, topics, ledger, violations)
    for message in read(bootstrap_servers, topics["dead_letters"]):
        letters.take(message)
    letters.finish()
    _check_scores(bootstrap_servers, topics["scores"], ledger, violations)
    _check_feature_log(bootstrap_servers, topics["feature_log"], ledger, violations)
    return letters.reasons


class _Letters:
    """Each rejected record has one letter, with its bytes or the documented cut."""

    def __init__(
        self, servers: str, topics: dict[str, str], ledger: Ledger, violations: Violations
    ) -> None:
        self._on_labels = {topics["events"]: False, topics["labels"]: True}
        self._ledger = ledger
        self._violations = violations
        self._seen = {place: bytearray(len(p.due)) for place, p in ledger.partitions.items()}
        self._servers = servers
        self.reasons: Counter[str] = Counter()

    def take(self, message: Any) -> None:
        headers = message.headers() or []
        said = {
            name: (value or b"").decode(errors="replace") for name, value in headers if own(name)
        }
        at = f"letter {message.partition()}/{message.offset()}"
        try:
            topic, partition = said["weir.topic"], int(said["weir.partition"])
            offset, place = int(said["weir.offset"]), (self._on_labels[topic], partition)
            part, seen = self._ledger.partitions[place], self._seen[place]
            due = part.due[offset]
        except (KeyError, ValueError, IndexError) as error:
            self._violations.add("a letter of nothing that was sent", f"{at}: {error!r}")
            return
        source = f"{topic}/{partition}/{offset} ({self._ledger.kinds[part.kinds[offset]]})"
        self.reasons[said.get("weir.reason", "none")] += 1
        if due != REJECTED:
            self._violations.add("good record rejected", f"{source}: {said.get('weir.detail')}")
        if seen[offset]:
            self._violations.add("more than one letter", source)
        seen[offset] = 1
        key, value = message.key(), message.value()
        if "weir.truncated_from" in said or "weir.dropped" in said:
            self._check_cut(source, TopicPartition(topic, partition, offset), said, message)
        elif digest(key, value, headers) != part.digests[offset]:
            self._violations.add("bytes changed", f"{source}: {key!r} {(value or b'')[:60]!r}")

    def _check_cut(
        self, source: str, place: TopicPartition, said: dict[str, str], letter: Any
    ) -> None:
        original = _fetch(self._servers, place)
        whole, held = original.value() or b"", letter.value() or b""
        size = len(whole) + sum(len(n) + len(v or b"") for n, v in original.headers() or [])
        wrong = []
        if size + len(original.key() or b"") < _LETTER_BYTES:
            wrong.append("cut though it is small")
        if not whole.startswith(held):
            wrong.append("not the beginning of the original")
        if "weir.truncated_from" in said:
            if int(said["weir.truncated_from"]) != len(whole):
                wrong.append("wrong size")
            if said.get("weir.sha256") != hashlib.sha256(whole).hexdigest():
                wrong.append("wrong SHA-256")
        elif held != whole:
            wrong.append("cut without saying so")
        if "weir.dropped" not in said and letter.key() != original.key():
            wrong.append("another key")
        if wrong:
            self._violations.add("wrong cut", f"{source}: {', '.join(wrong)}")

    def finish(self) -> None:
        """All that is due was seen."""
        for (on_labels, partition), part in self._ledger.partitions.items():
            seen = self._seen[on_labels, partition]
            for offset, due in enumerate(part.due):
                if due == REJECTED and not seen[offset]:
                    kind = self._ledger.kinds[part.kinds[offset]]
                    topic = "labels" if on_labels else "events"
                    self._violations.add("no letter", f"{topic}/{partition}/{offset} ({kind})")


def _check_scores(servers: str, topic: str, ledger: Ledger, violations: Violations) -> None:
    """As many answers about each event id as there are events of that id, in its partition."""
    due: Counter[tuple[int, int]] = Counter()
    for (on_labels, partition), part in ledger.partitions.items():
        if not on_labels:
            pairs = zip(part.due, part.event_ids, strict=True)
            due.update((partition, event) for state, event in pairs if state == ANSWERED)
    for message in read(servers, topic):
        due[message.partition(), json.loads(message.value())["event_id"]] -= 1
    for (partition, event), left in due.items():
        if left:
            kind = "unanswered" if left > 0 else "answered without or more than once"
            violations.add(kind, f"event {event} of partition {partition}: {left:+} answers due")


def _check_feature_log(servers: str, topic: str, ledger: Ledger, violations: Violations) -> None:
    """One row for each event, and for nothing else."""
    seen = {
        partition: bytearray(len(part.due))
        for (on_labels, partition), part in ledger.partitions.items()
        if not on_labels
    }
    for message in read(servers, topic):
        table = pa.ipc.open_stream(io.BytesIO(message.value())).read_all()
        partition = message.partition()
        for offset in table["offset"].to_pylist():
            seen[partition][offset] += 1
    for partition, counts in seen.items():
        for offset, (count, due) in enumerate(
            zip(counts, ledger.partitions[False, partition].due, strict=True)
        ):
            if count != (due == ANSWERED):
                violations.add("feature log", f"events/{partition}/{offset} has {count} rows")


def _fetch(servers: str, place: TopicPartition) -> Any:
    consumer = _consumer(servers)
    try:
        consumer.assign([place])
        message = consumer.poll(60)
        if message is None or message.error() is not None:
            raise RuntimeError(f"the original at {place} can't be read")
        return message
    finally:
        consumer.close()


def _consumer(servers: str) -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": "fuzz-checker",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
        }
    )
