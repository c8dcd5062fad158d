"""Waiting for the registry of models while it is away."""

import logging
from collections.abc import Callable
from threading import Event
from typing import TypeVar

from inference.packages.mlflow_connection import RegistryAwayError
from streams.base.bounded_calls import StoppedError

logger = logging.getLogger(__name__)

T = TypeVar("T")

_AGAIN_S = 5.0


def once_there(fetch: Callable[[str], T], model: str, stop: Event) -> T:
    """What `fetch` says of a model, asked again until the registry is there.

    Raises:
        StoppedError: `stop` was set while it is away.
        Exception: what `fetch` raises else.
    """
    while True:
        try:
            return fetch(model)
        except RegistryAwayError as error:
            logger.warning("%s; trying again in %.0f s, events wait in Kafka", error, _AGAIN_S)
            if stop.wait(_AGAIN_S):
                raise StoppedError(f"stopped while waiting for model {model}") from error
