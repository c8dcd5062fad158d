"""What comes last, because nothing can be compared afterwards: the events topic is lost.

Its records expire unanswered; it is deleted and made anew, while nobody reads it and under a
running scorer; its logs lose their end. Each time a scorer has to end, with the exit code of
missing history and words that name place and choice, and to answer nothing. With what it names,
each event of the new topic has one answer.
"""

import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import msgspec
from confluent_kafka import KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from streams.base.child_process import tied_to_us
from streams.base.errors import HISTORY_MISSING
from tests.chaos import configuration
from tests.chaos.configuration import PARTITIONS, TOPICS
from tests.chaos.feeder import PROGRESS_HEADER
from tests.chaos.transcript import read_topic
from tests.chaos.violations import Violations
from tests.chaos.world import Habits, Record, World

_EVENTS = 300
_ENDS_S = 90.0
_ANSWERS_S = 240.0
_PLAIN = Habits(late=0.0, too_late=0.0, twice=0.0, malformed=0.0, bad_labels=0.0)


@dataclass
class Finale:
    """The last acts of a campaign whose scorers have ended.

    Args:
        world: whose events go on.
        values: of the settings file of the campaign.
        lose_the_end: of the logs of a topic, as a broker does that was killed.
    """

    folder: Path
    bootstrap_servers: str
    world: World
    values: dict[str, Any]
    found: Violations
    lose_the_end: Callable[[str], object]

    def run(self) -> None:
        """Play them."""
        self._admin = AdminClient({"bootstrap.servers": self.bootstrap_servers})
        self._logs = 0
        config = self.folder / "weir.toml"
        self._send()
        self._expire()
        self._refused("records that expired", config, "expired")
        self._make_anew()
        ids = self._send()
        self._refused("a topic made anew", config, "deleted and made anew")
        config, options = self._choice(1)
        with self._scorer(config, *options) as scorer:
            self._answered(ids, scorer)
            self._make_anew()
            self._ended("a topic made anew under it", scorer, "made anew")
        ids = self._send()
        self._refused("a topic made anew under another", config, "deleted and made anew")
        config, options = self._choice(2)
        with self._scorer(config, *options) as scorer:
            self._answered(ids, scorer)
        self.lose_the_end(TOPICS["events"])
        self._refused("logs that lost their end", config, "the partition was truncated")

    def _choice(self, number: int) -> tuple[Path, list[str]]:
        """Settings and options by which a scorer goes on."""
        if self.values["loop"]["topology"] == "fused":
            return self.folder / "weir.toml", ["--on-missing-history", "warn"]
        path = self.folder / f"begun-anew-{number}.toml"
        loop = self.values["loop"] | {"group": f"{configuration.GROUP}-{number}"}
        stages = self.values["stages"] | {"prefix": f"anew-{number}."}
        return configuration.write(path, self.values | {"loop": loop, "stages": stages}), []

    def _send(self) -> list[int]:
        """Send some events, and those that let them go; the ids of the former."""
        self.world.partitions = PARTITIONS
        producer = Producer({"bootstrap.servers": self.bootstrap_servers, "log_level": 0})
        tick, closing = self.world.tick(_EVENTS, _PLAIN), self.world.closing()
        for record in [*tick.events, *closing.events]:
            _produce(producer, record)
        complete = [(PROGRESS_HEADER, str(closing.complete_to).encode())]
        for partition in self._admin.list_topics(timeout=30).topics[TOPICS["labels"]].partitions:
            producer.produce(TOPICS["labels"], None, None, partition, headers=complete)
        if producer.flush(30):
            raise RuntimeError("the broker takes no events")
        return [msgspec.json.decode(record.value or b"")["id"] for record in tick.events]

    def _expire(self) -> None:
        metadata = self._admin.list_topics(timeout=30).topics[TOPICS["events"]]
        ends = [TopicPartition(TOPICS["events"], each, -1) for each in metadata.partitions]
        for expired in self._admin.delete_records(ends).values():
            expired.result(30)

    def _make_anew(self) -> None:
        topic = TOPICS["events"]
        self._admin.delete_topics([topic])[topic].result(30)
        deadline = monotonic() + 30
        while True:
            try:
                self._admin.create_topics([NewTopic(topic, PARTITIONS, 1)])[topic].result(30)
                return
            except KafkaException:  # the old one is being deleted
                if monotonic() > deadline:
                    raise
                sleep(0.2)

    @contextmanager
    def _scorer(self, config: Path, *options: str) -> Iterator["_Scorer"]:
        self._logs += 1
        log = self.folder / f"finale-{self._logs}.log"
        command = [sys.executable, "-m", "weir", "score", "-c", str(config), *options]
        with log.open("wb") as output:
            process = subprocess.Popen(
                tied_to_us([*command, "--metrics-port", "0"]),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        scorer = _Scorer(process, log)
        try:
            yield scorer
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(_ENDS_S)
                except subprocess.TimeoutExpired:
                    process.kill()
                    self.found.add("scorer's end", f"{log}: does not end")

    def _refused(self, what: str, config: Path, says: str) -> None:
        before = self._answers().total()
        with self._scorer(config) as scorer:
            self._ended(what, scorer, says)
        if self._answers().total() != before:
            self.found.add("lost position", f"{scorer.log}: {what}: answers were written")

    def _ended(self, what: str, scorer: "_Scorer", says: str) -> None:
        try:
            code = scorer.process.wait(_ENDS_S)
        except subprocess.TimeoutExpired:
            self.found.add("lost position", f"{scorer.log}: {what}: it goes on")
            return
        said = scorer.log.read_text(errors="replace")
        if code != HISTORY_MISSING or says not in said or TOPICS["events"] not in said:
            detail = f"{scorer.log}: {what}: exit code {code}: {said[-500:]}"
            self.found.add("lost position", detail)

    def _answered(self, ids: list[int], scorer: "_Scorer") -> None:
        """Each of these events gets one answer, and goes on having one."""
        deadline = monotonic() + _ANSWERS_S
        answers = self._answers()
        while not all(answers[each] for each in ids):
            if monotonic() > deadline or scorer.process.poll() is not None:
                lost = sum(not answers[each] for each in ids)
                self.found.add("lost", f"{scorer.log}: no answer after the topic was made", lost)
                return
            sleep(0.5)
            answers = self._answers()
        again = sum(answers[each] > 1 for each in ids)
        if again:
            self.found.add("duplicated", f"{scorer.log}: answered again", again)

    def _answers(self) -> Counter[int]:
        topic = read_topic(self.bootstrap_servers, TOPICS["scores"])
        return Counter(msgspec.json.decode(message.value())["event_id"] for message in topic)


@dataclass
class _Scorer:
    process: "subprocess.Popen[bytes]"
    log: Path


def _produce(producer: Producer, record: Record) -> None:
    producer.produce(TOPICS["events"], record.value, record.key, record.partition)
