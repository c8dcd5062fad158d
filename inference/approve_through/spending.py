"""What a partition has let through on the day that it is in, and how the feature log notes that.

The note goes into the transaction of the very answers that it is about, so that whoever takes over
a partition knows what was spent to the cent, however its predecessor ended.
"""

import msgspec

DAY_MS = 86_400_000
NOTE = "approve_through"
"""Key of the note in a feature log record's metadata, after ``weir.``."""


class Spending(msgspec.Struct, frozen=True):
    """What was spent up to some offset of a partition.

    Attributes:
        day: of event time, days since the epoch: the latest of which there was a would-be decline;
            None before the first one that we know of.
        amount: of that day; None where nobody knows what went before: then nothing more may be.
    """

    day: int | None = None
    amount: float | None = None

    def on(self, day: int) -> "Spending":
        """As it is for an event of this day."""
        if self.day is None:
            return Spending(day)
        return Spending(day, 0.0) if day > self.day else self

    def allows(self, day: int, amount: float, budget: float) -> bool:
        """Whether an event of a day may be let through; one of a day that is over may not."""
        return self.day == day and self.amount is not None and self.amount + amount <= budget

    def with_(self, amount: float) -> "Spending":
        """After a further event of the day."""
        return Spending(self.day, (self.amount or 0.0) + amount)


class Note(msgspec.Struct, frozen=True):
    """What a record of the feature log says of its partition.

    Attributes:
        first: offset of the first event of the partition in that transaction.
        spending: after its last one.
    """

    first: int
    spending: Spending


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Note)


def encode_note(note: Note) -> str:
    """As text."""
    return _ENCODER.encode(note).decode()


def read_note(text: bytes) -> Note:
    """Back from text.

    Raises:
        ValueError: it is none.
    """
    try:
        return _DECODER.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"no note of what was let through: {error}") from error
