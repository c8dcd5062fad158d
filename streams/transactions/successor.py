"""Whether a transactional id that we have lost is another process's now."""

from collections.abc import Callable
from threading import Event

from confluent_kafka import KafkaError, KafkaException

from streams.kafka.cluster_watch import passes
from streams.transactions.errors import FencedError

_AGAIN_S = 0.2
_JOINS_S = 3.0


class Successor:
    """Asks for a process that started later under our transactional id.

    Args:
        look: whether there is one, or one shows up within so many seconds; None where nobody else
            may have the id, so that to be fenced off means that somebody has it by mistake.
    """

    def __init__(self, transactional_id: str, look: Callable[[float], bool] | None) -> None:
        self._id = transactional_id
        self._look = look

    def refuse(self, fenced: KafkaError | None, stop: Event) -> None:
        """Return if the id is ours still, so that we may take it again.

        Args:
            fenced: by which the cluster said that it is not; None where we are about to take it
                from a producer of our own.

        Raises:
            FencedError: it is another's.
            KafkaException: the cluster does not say who there is.
        """
        if self._look is None:
            if fenced is not None:
                raise self._taken_over(fenced.str())
        elif self._there_is(stop, _JOINS_S if fenced is not None else 0.0):
            raise self._taken_over(fenced.str() if fenced is not None else "it is in the group")

    def _there_is(self, stop: Event, within_s: float) -> bool:
        assert self._look is not None
        while True:
            try:
                return self._look(within_s)
            except KafkaException as error:
                if not passes(error) or stop.wait(_AGAIN_S):
                    raise

    def _taken_over(self, why: str) -> FencedError:
        return FencedError(
            f"another process with transactional id {self._id!r} took over ({why}): "
            "run one scorer per group, or give this one another loop.group"
        )
