"""The controller's loop: an app of Faust that keeps what is known in a table.

Of several processes in the group, the one that has the drift topic's only partition has that of the
table, too, and is at work. A state is known to stand in the table's topic before anything is done
because of it; where that can't be known, the process ends, and its next start reads what stands.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any, Protocol

import faust
from faust.types import TP

from monitoring.retraining.events import Command, Looked
from monitoring.retraining.events import Event as ControllerEvent
from monitoring.retraining.kafka_login import KafkaLogin
from monitoring.retraining.reseeking_consumer import ReseekingConsumer
from monitoring.retraining.settings import RetrainingSettings
from monitoring.retraining.state import DECODE_STATE, ENCODE_STATE, ControllerState
from monitoring.retraining.step import step
from streams.base.clock import now_ms
from streams.base.errors import UNAVAILABLE, WeirError

logger = logging.getLogger(__name__)

_KEY = b"controller"
_POLL_S = 0.1
_KEPT_S = 30.0
_SESSION_S = 8.0
"""After this the group gives a silent controller's place to another one."""
_STILL_S = _SESSION_S / 2
_TALKATIVE = ("faust", "mode", "aiokafka")
_COMPLAINS = "faust.transport.drivers.aiokafka"


class ControllerCrashedError(WeirError):
    """Faust's client or one of its services has ended; a new start may go on."""

    exit_code = UNAVAILABLE


class SuspendedError(WeirError):
    """It stood still for so long that another one may be at work; a new start joins its group."""

    exit_code = UNAVAILABLE


class Hands(Protocol):
    """What the controller sees and does beside Kafka's topics of drift; each call may wait."""

    def look(self, state: ControllerState) -> Looked | None:
        """What is found now; None where that can't be learned."""

    def carry_out(self, state: ControllerState, commands: Sequence[Command]) -> None:
        """Write down what is known and decided, then do what is to be done."""

    def at_work(self, state: ControllerState | None) -> None:
        """Told now and then what is known; None where another process is at work."""


class _NobodyStreams(logging.Filter):
    """Drops Faust's complaint that nothing streams a table's topic: only a start reads it."""

    def __init__(self, topic: str) -> None:
        super().__init__()
        self._place = f"topic={topic!r}"

    def filter(self, record: logging.LogRecord) -> bool:
        said = record.getMessage()
        return not ("Stream has" in said and self._place in said)


Reader = Callable[[bytes | None, bytes | None], ControllerEvent | None]
"""Makes an event of a record's key and value; None where it is none of ours."""


class ControllerApp:
    """Runs the controller.

    Args:
        sources: what reads the records of each topic, by name: each has one partition.
        table_topic: compacted, with one partition.
        hands: called in a thread, one call at a time.
        folder: that Faust may make; nothing is kept there.
    """

    def __init__(
        self,
        login: KafkaLogin,
        settings: RetrainingSettings,
        *,
        sources: dict[str, Reader],
        table_topic: str,
        hands: Hands,
        folder: Path,
    ) -> None:
        self._settings = settings
        self._folder = folder
        self._sources = sources
        self._hands = hands
        self._place = TP(table_topic, 0)
        self._failure: BaseException | None = None
        self._ready = False
        for name in _TALKATIVE:
            logging.getLogger(name).setLevel(logging.WARNING)
        logging.getLogger(_COMPLAINS).addFilter(_NobodyStreams(table_topic))
        self._login = login
        self._table_topic = table_topic

    @property
    def ready(self) -> bool:
        """Whether it has joined its group; one that stands by is ready."""
        return self._ready

    def run(self, stop: Event) -> str:
        """Work until `stop` is set; what is true then.

        Raises:
            Exception: what failed, such as a state that is not known to be kept.
        """
        asyncio.run(self._run(stop))
        return "jobs and trials go on by themselves; the next start goes on from here"

    async def _run(self, stop: Event) -> None:
        self._turn = asyncio.Lock()
        self._app = app = self._make_app()
        self._folder.parent.mkdir(parents=True, exist_ok=True)
        self._beat = monotonic()
        pulse = asyncio.create_task(self._pulse())
        await app.start()
        try:
            look_at = 0.0
            while not stop.is_set() and self._failure is None:
                await asyncio.sleep(_POLL_S)
                if app.crashed:
                    raise ControllerCrashedError(f"Faust has ended: {app.crash_reason!r}")
                self._ready = bool(app.consumer.assignment()) or self._ready
                if monotonic() >= look_at:
                    look_at = monotonic() + self._settings.look / 1e3
                    await self._look()
        finally:
            pulse.cancel()
            if self._failure is not None:
                app.conf.stream_wait_empty = False  # Nobody acknowledges what has failed.
            await app.stop()
        if self._failure is not None:
            raise self._failure

    async def _pulse(self) -> None:
        """End the controller once it has stood still, as a suspended process does."""
        while self._failure is None:
            await asyncio.sleep(_POLL_S)
            try:
                self._check_beat()
            except SuspendedError as error:
                self._failure = error
            self._beat = monotonic()

    def _check_beat(self) -> None:
        """Nothing else keeps one that was suspended from a decision that another one has made.

        Raises:
            SuspendedError: its place may be another one's by now.
        """
        still = monotonic() - self._beat
        if still > _STILL_S:
            raise SuspendedError(
                f"stood still for {still:.0f} s (suspended, or starved of CPU): another controller "
                "may be at work by now; the next start reads what that one has decided"
            )

    def _make_app(self) -> faust.App:
        app = faust.App(
            self._settings.group,
            broker=self._login.brokers,
            broker_credentials=self._login.credentials,
            broker_commit_interval=1.0,
            broker_session_timeout=_SESSION_S,
            broker_heartbeat_interval=_SESSION_S / 4,
            consumer_auto_offset_reset="earliest",
            processing_guarantee="at_least_once",
            store="memory://",
            datadir=self._folder,
            key_serializer="raw",
            value_serializer="raw",
            topic_allow_declare=False,
            topic_disable_leader=True,
            web_enabled=False,
            autodiscover=False,
            producer_request_timeout=_KEPT_S,
        )
        transport: Any = app.transport
        transport.Consumer = ReseekingConsumer
        tables: Any = app.tables
        self._recovery = tables.recovery
        self._table: Any = app.Table(
            "retraining",
            key_type=bytes,
            value_type=bytes,
            partitions=1,
            changelog_topic=self._topic(app, self._table_topic),
        )
        for name, read in self._sources.items():
            app.agent(self._topic(app, name), name=name, concurrency=1)(self._agent(name, read))
        return app

    @staticmethod
    def _topic(app: faust.App, name: str) -> Any:
        return app.topic(
            name,
            key_type=bytes,
            value_type=bytes,
            key_serializer="raw",
            value_serializer="raw",
            partitions=1,
            allow_empty=True,
            acks=True,
        )

    def _agent(self, name: str, read: Reader) -> Any:
        async def heard(stream: Any) -> None:
            # Else Faust acknowledges a record whose handling failed, too.
            async for record in stream.noack().events():
                try:
                    event = read(record.key, record.value)
                    if event is not None:
                        await self._handle(event)
                    record.ack()
                except Exception as error:
                    # Faust would log it and go on with the next record: this one would be lost.
                    self._failure = error
                    raise

        heard.__name__ = f"heard_{name}"
        return heard

    async def _look(self) -> None:
        if not self._leads():
            self._hands.at_work(None)
            return
        async with self._turn:
            state = self._state()
            looked = await asyncio.to_thread(self._hands.look, state)
            if looked is not None and self._leads():
                await self._step(looked)
            self._hands.at_work(self._state())

    async def _handle(self, event: ControllerEvent) -> None:
        async with self._turn:
            await self._step(event)

    async def _step(self, event: ControllerEvent) -> None:
        before = self._state()
        after, commands = step(before, event, now_ms(), self._settings)
        if self._failure is not None:
            raise self._failure
        self._check_beat()
        if after != before:
            await self._keep(after)
        if after != before or isinstance(event, Looked):
            await asyncio.to_thread(self._hands.carry_out, after, commands)

    def _leads(self) -> bool:
        """Whether the table is ours, and read to its end."""
        app = self._app
        return (
            not app.rebalancing
            and self._recovery.completed.is_set()
            and self._place in app.assignor.assigned_actives()
        )

    def _state(self) -> ControllerState:
        kept = self._table.data.get(_KEY)
        return ControllerState() if kept is None else DECODE_STATE(kept)

    async def _keep(self, state: ControllerState) -> None:
        """Keep a state; returns when the cluster has it.

        Raises:
            Exception: it is not known to have it.
        """
        value = ENCODE_STATE(state)
        sent = self._table.send_changelog(0, _KEY, value, "raw", "raw")
        await asyncio.wait_for(sent, _KEPT_S)
        self._table.data[_KEY] = value
