"""One worker of the shadow: its loop over the feature log, and beside it who follows commands."""

import logging
from collections.abc import Callable, Mapping
from threading import Event

from inference.shadow.busy_share import BusyShare
from inference.shadow.candidates import Candidates
from inference.shadow.metrics import ShadowMetrics
from inference.shadow.settings import LINGER_MS, ShadowSettings
from inference.shadow.shadow_book import ShadowBook
from inference.shadow.shadow_task import ShadowTask
from streams.base.beside import beside
from streams.kafka.client import KafkaSettings
from streams.kafka.partition import PartitionId
from streams.kafka.records.control_topic import ControlReader
from streams.kafka.topics.weir_topics import TopicSettings
from streams.loop.stateless.loop import StatelessLoop

logger = logging.getLogger(__name__)

_RECORDS = 64
"""Of the feature log in one transaction; each holds the events of one of the scorer's."""
_READ_S = 0.5


class ShadowWorker:
    """Reads the feature log in a consumer group of its own; any number share the work.

    Shadow scores and offsets are one transaction, so each event that the champion answered is
    scored once, whatever is killed when.

    Args:
        names: of the features, in the order of the settings.
        partitions: how many the topic of shadow scores has, at this moment.
        widen: see `StatelessLoop`.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        settings: ShadowSettings,
        *,
        topics: TopicSettings,
        names: list[str],
        book: ShadowBook,
        candidates: Candidates,
        metrics: ShadowMetrics,
        tolerant: bool,
        partitions: Callable[[], int],
        widen: Callable[[], None],
    ) -> None:
        self._kafka = kafka
        self._control = topics.control
        self._book = book
        self._candidates = candidates
        self._metrics = metrics
        task = ShadowTask(
            candidates,
            names,
            topic=topics.shadow_scores,
            partitions=partitions,
            max_lag=settings.max_lag,
            lag=lambda: sum(self._loop.lag.values()),
            busy=BusyShare(settings.max_busy),
            metrics=metrics,
        )
        self._loop = StatelessLoop(
            kafka=kafka,
            group=settings.group,
            worker=settings.worker_name,
            topics=[topics.feature_log],
            process=task,
            dead_letters=topics.dead_letters,
            max_batch=_RECORDS,
            linger=LINGER_MS,
            session_timeout=settings.session_timeout,
            transaction_timeout=settings.transaction_timeout,
            position_log=topics.positions,
            tolerant=tolerant,
            widen=widen,
            committed=metrics.count_committed,
            aborted=metrics.count_aborted,
            rejected=metrics.count_rejected,
        )

    @property
    def lag(self) -> Mapping[PartitionId, int]:
        """Records of each partition that were not read a moment ago; any thread may ask."""
        return self._loop.lag

    def waits_for(self) -> list[str]:
        """Why nothing is scored now, in words; nothing where it is. Any thread may ask.

        Candidates that do not answer are no reason: the shadow goes on without them.
        """
        if self._loop.ready:
            return []
        return ["joining the group, finding where to read on, or a transaction is overdue"]

    def run(self, stop: Event) -> str:
        """Score what comes until `stop` is set; what is true then.

        Raises:
            Exception: see `StatelessLoop.run` and `ControlReader`.
        """
        commands = ControlReader(self._kafka, self._control)
        commands.read_to_end(self._book.hear)
        over = Event()

        def follow() -> None:
            # Candidates end with this thread: it stays until the last batch is through.
            try:
                while not over.is_set():
                    self._follow(commands)
            finally:
                commands.close()  # by nobody else: the client does not survive it in a read

        try:
            with beside(follow, stop, "candidates"):
                try:
                    self._loop.run(stop)
                finally:
                    over.set()
        finally:
            self._candidates.close()
        return "the last transaction is committed"

    def _follow(self, commands: ControlReader) -> None:
        self._candidates.follow(self._book.wanted)
        states = self._candidates.states()
        self._metrics.show({name: state for name, (_, state, _) in states.items()})
        for record in commands.read(_READ_S):
            self._book.hear(record)
