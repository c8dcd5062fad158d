"""A campaign: what is sent, the scorer that must survive it, and what is checked."""

import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from time import monotonic, sleep, time

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from streams.base.child_process import tied_to_us
from tests.fuzz.checker import Violations, check
from tests.fuzz.generator import PARTITIONS, Generator
from tests.fuzz.ledger import Ledger

_AHEAD = 200_000  # records that may wait for the scorer: the broker's disk is small
_STUCK_S = 180.0
_LARGEST = "16777216"
CODECS = ("gzip", "snappy", "lz4", "zstd")
MOST_MEMORY_MB = 1_500
"""What the scorer itself may have in use at any moment, with the model and the windows."""

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Order:
    """What to do.

    Attributes:
        config: settings with the example's event contract, for the scorer.
        topics: names by role; events and labels are made here.
        records: how many malformed ones, at least.
        log: where the scorer's log goes.
    """

    bootstrap_servers: str
    config: Path
    topics: dict[str, str]
    group: str
    records: int
    seed: int
    log: Path


@dataclass
class Report:
    """What came of it; seconds of sending and scoring, and of checking."""

    ledger: Ledger
    violations: Violations
    reasons: Counter[str] = field(default_factory=Counter)
    peak_mb: int = 0
    scoring_s: float = 0.0
    checking_s: float = 0.0


def run(order: Order, progress: Progress = lambda what, done, total: None) -> Report:
    """Run one campaign.

    Raises:
        RuntimeError: Kafka did not take what was to be sent.
    """
    report = Report(Ledger(), Violations())
    make_topics(order)
    start = monotonic()
    with running_scorer(order, report.violations) as scorer:
        _Feeder(order, report, scorer).run(progress)
        report.scoring_s = monotonic() - start
        report.peak_mb = peak_mb(scorer.pid)
        end_scorer(scorer, report.violations)
    if report.peak_mb > MOST_MEMORY_MB:
        report.violations.add("memory", f"{report.peak_mb:,} MiB")
    start = monotonic()
    progress("checking", 0, 0)
    report.reasons = check(order.bootstrap_servers, order.topics, report.ledger, report.violations)
    report.checking_s = monotonic() - start
    return report


def peak_mb(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as stream:
            return next(int(line.split()[1]) >> 10 for line in stream if "VmHWM" in line)
    except (OSError, StopIteration):
        return 0


@contextmanager
def running_scorer(order: Order, violations: Violations) -> Iterator["subprocess.Popen[bytes]"]:
    """A `weir score` by an order's settings; a stack trace in its log is a violation."""
    with order.log.open("wb") as log:
        command = [sys.executable, "-m", "weir", "score", "-c", str(order.config)]
        scorer = subprocess.Popen(
            tied_to_us([*command, "--metrics-port", "0"]), stdout=log, stderr=subprocess.STDOUT
        )
    try:
        yield scorer
    finally:
        scorer.kill()
        scorer.wait()
    if "Traceback (most recent call last)" in order.log.read_text(errors="replace"):
        violations.add("a stack trace", str(order.log))


def end_scorer(scorer: "subprocess.Popen[bytes]", violations: Violations) -> None:
    """Stop it; that it does not end well is a violation."""
    scorer.send_signal(signal.SIGTERM)
    if (code := scorer.wait(120)) != 0:
        violations.add("the scorer ended", f"exit code {code} after SIGTERM")


def make_topics(order: Order) -> None:
    """The input topics take what a careless administrator's would."""
    config = {
        "max.message.bytes": _LARGEST,
        "retention.ms": "-1",
        "message.timestamp.after.max.ms": str(2**63 - 1),
    }
    wanted = [
        NewTopic(order.topics[role], PARTITIONS, 1, config=config) for role in ("events", "labels")
    ]
    admin = AdminClient({"bootstrap.servers": order.bootstrap_servers})
    for made in admin.create_topics(wanted, operation_timeout=60).values():
        made.result(60)


class _Feeder:
    """Sends by all codecs in turn; waits for the scorer where it is far ahead, and at the end."""

    def __init__(self, order: Order, report: Report, scorer: subprocess.Popen[bytes]) -> None:
        self._order = order
        self._report = report
        self._scorer = scorer
        self._lost: list[str] = []
        self._consumer = Consumer(
            {"bootstrap.servers": order.bootstrap_servers, "group.id": order.group}
        )
        self._producers = cycle([self._producer_with(codec) for codec in CODECS])
        self._producer = next(self._producers)

    def run(self, progress: Progress) -> None:
        ledger, order = self._report.ledger, self._order
        generator = Generator(order.seed, round(time() * 1_000))
        names = {False: order.topics["events"], True: order.topics["labels"]}
        sent = 0
        try:
            while ledger.rejected.total() < order.records:
                for _ in range(2_000):
                    made = generator.one()
                    self._produce(names[made.on_labels], made)
                    ledger.note(made)
                sent += 2_000
                self._check()
                progress("sending", ledger.rejected.total(), order.records)
                if sent % 20_000 == 0:
                    self._producer.flush(120)  # offsets follow from the order of what is sent
                    self._producer = next(self._producers)
                    self._wait(sent, _AHEAD, progress)
            self._producer.flush(120)
            self._wait(sent, 0, progress)
        finally:
            self._consumer.close()

    def _producer_with(self, codec: str) -> Producer:
        return Producer(
            {
                "bootstrap.servers": self._order.bootstrap_servers,
                "enable.idempotence": True,  # keeps the order: offsets follow from it
                "linger.ms": 20,
                "compression.type": codec,
                "message.max.bytes": int(_LARGEST),
                "queue.buffering.max.kbytes": 65_536,
                "delivery.report.only.error": True,
                "on_delivery": self._note,
            }
        )

    def _produce(self, topic: str, made: object) -> None:
        while True:
            try:
                self._producer.produce(
                    topic,
                    made.value,
                    made.key,
                    made.partition,
                    timestamp=made.timestamp,
                    headers=made.headers,
                )
                self._producer.poll(0)
                return
            except BufferError:
                self._producer.poll(0.1)

    def _wait(self, sent: int, ahead: int, progress: Progress) -> None:
        """Until no more than so many records wait for the scorer."""
        places = [
            TopicPartition(self._order.topics[role], partition)
            for role in ("events", "labels")
            for partition in range(PARTITIONS)
        ]
        before, since = -1, monotonic()
        while True:
            self._check()
            committed = self._consumer.committed(places, timeout=60)
            done = sum(max(0, each.offset) for each in committed)
            progress("scoring", done, sent)
            if done >= sent - ahead:
                return
            if done != before:
                before, since = done, monotonic()
            if monotonic() - since > _STUCK_S:
                raise RuntimeError(f"the scorer is stuck at {done:,} of {sent:,} records")
            sleep(0.5)

    def _check(self) -> None:
        if self._lost:
            raise RuntimeError(f"Kafka did not take a record: {self._lost[0]}")
        if self._scorer.poll() is not None:
            words = self._order.log.read_text(errors="replace").splitlines()[-30:]
            raise RuntimeError(
                f"the scorer ended with {self._scorer.returncode}:\n" + "\n".join(words)
            )

    def _note(self, error: object, message: object) -> None:
        if error is not None:
            self._lost.append(str(error))
