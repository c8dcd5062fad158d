"""What goes into a transaction of Kafka's, and what becomes of it."""

from collections.abc import Sequence
from dataclasses import dataclass

from streams.kafka.message import Header


@dataclass(frozen=True)
class Outgoing:
    """Records for one topic, in columns of equal length; partition -1 leaves it to the key.

    Attributes:
        headers: of each record, None for none; None where no record has any.
    """

    topic: str
    values: Sequence[bytes | None]
    keys: Sequence[bytes | None]
    partitions: Sequence[int]
    headers: Sequence[list[Header] | None] | None = None


@dataclass(frozen=True)
class Committed:
    """The transaction is visible.

    Attributes:
        produce_s, commit_s: seconds spent on producing and on committing.
        waited_s: seconds for which what it holds had to wait for the transaction before.
    """

    produce_s: float
    commit_s: float
    waited_s: float = 0.0


@dataclass(frozen=True)
class Aborted:
    """Nothing of the transaction will ever be visible.

    Attributes:
        records_at_fault: the cluster refused what a record holds, and would again.
    """

    reason: str
    records_at_fault: bool = False
