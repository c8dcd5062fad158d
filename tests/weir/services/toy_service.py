"""A process that runs for good, in one file: it counts what it is given."""

from collections.abc import Sequence
from queue import Empty, SimpleQueue
from threading import Event

from confluent_kafka.admin import AdminClient
from prometheus_client import Counter

from streams.base.bounded_calls import StoppedError
from streams.kafka.rights.acl import Acl
from streams.kafka.topics.weir_topics import ensure_topics
from weir.config.settings import Settings
from weir.services.processes import ServiceProcess
from weir.services.service import Service, Start, Work


class Toy:
    """Counts numbers; what it does when is up to the test.

    Attributes:
        built, closed: whether its parts are there, and whether they were closed.
        may_build, may_work, may_end: what it waits for.
        given: the numbers.
        fails: what its run ends with.
    """

    def __init__(self, port: int = 0) -> None:
        self.process = ServiceProcess("toy", port, "Count numbers, until SIGTERM or Ctrl-C.")
        self.may_build, self.may_work, self.may_end = Event(), Event(), Event()
        self.closed = Event()
        self.given: SimpleQueue[int] = SimpleQueue()
        self.total = 0
        self.fails: Exception | None = None

    @property
    def service(self) -> Service:
        return Service(
            process=self.process, rights=self.rights, make_topics=self.make_topics, build=self.build
        )

    def rights(self, settings: Settings) -> Sequence[Acl]:
        return [Acl("Read", "topic", settings.topics.events, why="numbers to count")]

    def make_topics(self, admin: AdminClient, settings: Settings) -> None:
        ensure_topics(admin, settings.topics, ["events"])

    def build(self, start: Start) -> Work:
        start.note("fetching numbers")
        start.resources.callback(self.closed.set)
        while not self.may_build.wait(0.01):
            if start.stop.is_set():
                raise StoppedError("stopped while it was built")
        self.counter = Counter("toy_numbers", "Numbers", registry=start.metrics)
        return Work(does="counting numbers", run=self.run, waits_for=self.waits_for)

    def waits_for(self) -> Sequence[str]:
        return [] if self.may_work.is_set() else ["restoring numbers"]

    def run(self, stop: Event) -> str:
        while not stop.is_set():
            try:
                self.total += self.given.get(timeout=0.01)
            except Empty:
                continue
            self.counter.inc()
        assert self.may_end.wait(60)
        if self.fails is not None:
            raise self.fails
        return f"the sum is {self.total}"
