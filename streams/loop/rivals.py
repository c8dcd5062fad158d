"""Which of several processes goes on that can't work side by side: the one that started last.

Two fused scorers of a group use one transactional id, as do two staged ones of one worker name.
Kafka lets the last one commit that has made that id its own; but who lost its producer, with its
broker or with a call that hangs, has to do so again, and must not take it from a successor. So the
members of a group carry in their client ids when they started, and whoever finds a later one gives
way. That is an order: two never take the id from each other for ever.
"""

from time import monotonic, sleep, time_ns
from typing import Any, Self
from warnings import catch_warnings, simplefilter

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from streams.kafka.client import KafkaSettings
from streams.loop.settings import LoopSettings

_TIMEOUT_S = 10.0
_LOOK_S = 0.2
_PREFIX = "weir-"
_DIGITS = 16
"""Of microseconds since 1970: from September 2001 to the year 2286."""


class Rivals:
    """The processes that can't work beside this one.

    Args:
        worker: only those that call themselves so are rivals; None for all of the group.
        classic: whether the group is of Kafka's classic protocol.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        group: str,
        name: str,
        worker: str | None,
        *,
        classic: bool = True,
    ) -> None:
        self._kafka = kafka
        self._group = group
        self._worker = worker
        self._classic = classic
        self._order = (time_ns() // 1_000, name)

    @classmethod
    def of(cls, kafka: KafkaSettings, settings: LoopSettings) -> Self:
        """Those of a scorer with these settings that starts now."""
        worker = settings.worker_name if settings.topology == "staged" else None
        classic = settings.group_protocol == "classic"
        return cls(kafka, settings.group, settings.worker_name, worker, classic=classic)

    @property
    def client_id(self) -> str:
        """By which others tell when this process started."""
        started, name = self._order
        return f"{_PREFIX}{name}.{started}"

    def successor(self, within_s: float = 0.0) -> bool:
        """Whether one that started later is in the group now, or comes in time.

        Raises:
            KafkaException: the cluster does not say, or we may not ask.
        """
        deadline = monotonic() + within_s
        while not self._look():
            if monotonic() >= deadline:
                return False
            sleep(_LOOK_S)
        return True

    def _look(self) -> bool:
        for member in self._members():
            name, started = split_client_id(member.client_id)
            rival = started is not None and self._worker in (None, name)
            if rival and (started, name) > self._order:
                return True
        return False

    def _members(self) -> list[Any]:
        # A client of its own for each question: one whose coordinator went away may hang.
        admin: Any = AdminClient(self._kafka.client_config())
        if not self._classic:
            asked = admin.describe_consumer_groups([self._group], request_timeout=_TIMEOUT_S)
            return list(asked[self._group].result().members)
        # That question ends the process with an assertion where a connection breaks in the midst
        # of it (librdkafka #4605). The older one, which knows the classic protocol only, does not.
        with catch_warnings():
            simplefilter("ignore", DeprecationWarning)
            groups = admin.list_groups(group=self._group, timeout=_TIMEOUT_S)
        for group in groups:
            if group.error is not None:
                raise KafkaException(group.error)
        return [member for group in groups for member in group.members]


def split_client_id(client_id: str) -> tuple[str, int | None]:
    """Name and start (microseconds UTC) of a member; None where it does not say."""
    name, _, started = client_id.removeprefix(_PREFIX).rpartition(".")
    if name and len(started) == _DIGITS and started.isdecimal():
        return name, int(started)
    return client_id.removeprefix(_PREFIX), None
