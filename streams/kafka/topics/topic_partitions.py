"""The partitions of topics: how many there are, and giving a topic more."""

import logging
from collections.abc import Iterable, Sequence
from time import monotonic, sleep

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewPartitions

from streams.base.errors import WeirError
from streams.kafka.authorization import AuthorizationError, is_denial

logger = logging.getLogger(__name__)

_KNOWN_WITHIN_S = 15.0
_AGAIN_S = 0.05


class TopicError(WeirError):
    """A topic is missing, or its shape does not fit."""


def partitions_of(admin: AdminClient, names: Iterable[str]) -> dict[str, int]:
    """Number of partitions of each of these topics that exists."""
    known = admin.list_topics(timeout=15).topics
    return {
        name: len(known[name].partitions)
        for name in names
        if name in known and known[name].error is None
    }


def wait_until_known(admin: AdminClient, names: Sequence[str], at_least: int = 1) -> dict[str, int]:
    """Partitions of all these topics, once they are known: a broker may take a moment for new ones.

    Args:
        at_least: so many of each have to be known.

    Raises:
        TopicError: some are not known for long.
    """
    deadline = monotonic() + _KNOWN_WITHIN_S
    while True:
        counts = partitions_of(admin, names)
        unknown = [name for name in names if counts.get(name, 0) < at_least]
        if not unknown:
            return counts
        if monotonic() > deadline:
            raise TopicError(
                f"the cluster does not know {', '.join(unknown)} yet, or not all partitions, which "
                "it has made: see whether its brokers are well"
            )
        sleep(_AGAIN_S)


def widen_topics(admin: AdminClient, names: Sequence[str], partitions: int, why: str) -> None:
    """Give topics that have fewer partitions so many.

    Args:
        why: they need them, in words.

    Raises:
        TopicError: the cluster does not take it.
        AuthorizationError: we may not.
    """
    counts = wait_until_known(admin, names)
    narrow = [name for name in names if counts[name] < partitions]
    if not narrow:
        return
    denied = []
    wider = admin.create_partitions([NewPartitions(name, partitions) for name in narrow])
    for name, future in wider.items():
        try:
            future.result()
        except KafkaException as error:
            if is_denial(error.args[0]):
                denied.append(f"Alter on topic {name!r}, for {partitions} partitions ({why})")
            elif partitions_of(admin, [name])[name] < partitions:  # else another was faster
                raise TopicError(
                    f"can't give topic {name!r} {partitions} partitions ({why}): "
                    f"{error.args[0].str()}"
                ) from error
    if denied:
        raise AuthorizationError(denied)
    logger.info("gave %s %d partitions, since %s", ", ".join(narrow), partitions, why)
    wait_until_known(admin, narrow, partitions)
