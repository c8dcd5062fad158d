"""Says once that a broker can't be reached, and once that it can again, for all of a process.

Every client of a process notices an outage, and says so many times over. What they say is taken for
a hint here: a client of our own tries that broker, and only when it fails, too, is there an outage.
So a connection that was closed for being idle, or word that comes late, is none.
"""

import logging
import re
from collections.abc import Mapping
from contextlib import suppress
from threading import Thread
from time import monotonic
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from streams.kafka.connection.diagnosis import explain_refusal

logger = logging.getLogger(__name__)

_TRY_S = 0.5
_PATIENCE_S = 2.0
"""A broker that is back by then was never away."""
_QUIET_S = 1.0
"""So long after a broker has answered, hints are taken for old ones."""
_NOT_LET_IN = {KafkaError._SSL, KafkaError._AUTHENTICATION}
_FRAME = re.compile(r"^.*?/(?:bootstrap|-?\d+): (?:Connect to \S+ failed: )?|\s\(after .*\)$")

# No lock: a process that is forked off, such as that of a snapshot, might inherit it locked.
_watched: dict[str, object] = {}
_answered_at: dict[str, float] = {}
_away: set[str] = set()


def suspect(address: str, config: Mapping[str, Any]) -> None:
    """Look whether a broker can be reached, in a thread of its own; never waits, never fails.

    Args:
        address: host and port.
        config: librdkafka's settings of a client.
    """
    if monotonic() - _answered_at.get(address, -_QUIET_S) < _QUIET_S:
        return
    ours = object()
    if _watched.setdefault(address, ours) is ours:
        with suppress(RuntimeError):  # the process is about to end
            Thread(
                target=_watch, args=(address, config), name=f"watching {address}", daemon=True
            ).start()


def unreachable() -> list[str]:
    """Host and port of each broker that can't be reached now; any thread may ask."""
    return list(_away)


def _watch(address: str, config: Mapping[str, Any]) -> None:
    began = monotonic()
    told = False
    seen: list[KafkaError] = []
    try:
        probe = AdminClient(
            {
                **config,
                "bootstrap.servers": address,
                "reconnect.backoff.max.ms": 1_000,
                "log_level": 0,
                "error_cb": seen.append,
            }
        )
        while not _answers(probe):
            if not told and monotonic() - began > _PATIENCE_S:
                told = True
                _away.add(address)
                reason = _reason({**config, "bootstrap.servers": address}, seen)
                logger.warning("Kafka at %s can't be reached (%s): trying again", address, reason)
            del seen[:-1]
        if told:
            logger.warning(
                "Kafka at %s can be reached again after %.0f s", address, monotonic() - began
            )
    except KafkaException as error:  # these settings make no client
        logger.debug("can't check whether Kafka at %s answers: %s", address, error)
    finally:
        _answered_at[address] = monotonic()
        _away.discard(address)
        del _watched[address]


def _answers(probe: AdminClient) -> bool:
    try:
        probe.list_topics(timeout=_TRY_S)
    except KafkaException:
        probe.poll(0)  # calls error_cb
        return False
    return True


def _reason(config: Mapping[str, Any], seen: list[KafkaError]) -> str:
    """What the probe met last, without what stands around it."""
    telling = [each for each in seen if each.code() != KafkaError._ALL_BROKERS_DOWN]
    if not telling:
        return "no answer"
    said = telling[-1].str()
    if telling[-1].code() in _NOT_LET_IN:
        return explain_refusal(config, said) or _FRAME.sub("", said)
    return _FRAME.sub("", said)
