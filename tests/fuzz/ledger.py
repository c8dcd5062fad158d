"""What was sent where, and what is due for it: small enough for millions of records."""

from array import array
from collections import Counter
from dataclasses import dataclass, field
from hashlib import blake2b

from tests.fuzz.generator import PARTITIONS, Headers, Made

ANSWERED, REJECTED, SILENT = 1, 2, 3


def digest(key: bytes | None, value: bytes | None, headers: Headers) -> int:
    """A fingerprint of a record without headers of Weir's own names: a letter has its own."""
    foreign = [each for each in headers if not own(each[0])]
    shown = blake2b(repr((key, foreign)).encode(), digest_size=8)
    shown.update(b"\0" if value is None else b"\1" + value)
    return int.from_bytes(shown.digest())


def own(name: str) -> bool:
    """Whether a header's name is one of Weir's."""
    return name.startswith("weir.")


@dataclass
class Partition:
    """One partition in the order of its offsets, which count from 0."""

    due: array = field(default_factory=lambda: array("B"))
    kinds: array = field(default_factory=lambda: array("B"))
    digests: array = field(default_factory=lambda: array("Q"))
    event_ids: array = field(default_factory=lambda: array("q"))


class Ledger:
    """All that was sent."""

    def __init__(self) -> None:
        self.partitions = {
            (on_labels, partition): Partition()
            for on_labels in (False, True)
            for partition in range(PARTITIONS)
        }
        self.kinds: list[str] = []
        self.sent: Counter[str] = Counter()
        self.rejected: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()

    def note(self, made: Made) -> None:
        """Write down the next record of its partition."""
        if made.kind not in self.sent:
            self.kinds.append(made.kind)
        self.sent[made.kind] += 1
        part = self.partitions[made.on_labels, made.partition]
        due = REJECTED if made.rejected else SILENT
        if made.event_id is not None:
            due = ANSWERED
            self.answered[made.kind] += 1
        self.rejected[made.kind] += made.rejected
        part.due.append(due)
        part.kinds.append(self.kinds.index(made.kind))
        part.digests.append(digest(made.key, made.value, made.headers))
        part.event_ids.append(made.event_id if made.event_id is not None else 0)
