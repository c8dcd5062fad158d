"""How a process ended, and whether a new start can fix that."""

from dataclasses import dataclass

from streams.base.errors import FENCED, HISTORY_MISSING, STOPPED, UNAVAILABLE, WRONG_USE


@dataclass(frozen=True)
class Ending:
    """What an exit code means for whoever keeps a process running.

    Attributes:
        what: happened, in words that follow the name of the process.
        final: whether a new start would end in the same way, or nobody wants one.
        advice: what to do about it, where it is final.
    """

    what: str
    final: bool = False
    advice: str = ""


_KNOWN = {
    0: Ending("ended by itself, in good order: somebody told it to stop", final=True),
    STOPPED: Ending("was told to stop, and left at once (exit code 130)", final=True),
    WRONG_USE: Ending(
        "can't work with these settings, topics or features (exit code 2)",
        final=True,
        advice="Its last message names what is wrong: put that right, then run `weir up` again",
    ),
    UNAVAILABLE: Ending("can't reach Kafka or the database, or lacks a right there (exit code 3)"),
    FENCED: Ending(
        "gave way to another process that took over its work (exit code 4)",
        final=True,
        advice="One is enough: leave the work to the other one, or stop that first; to share it "
        'among several, set loop.topology = "staged"',
    ),
    HISTORY_MISSING: Ending(
        "lacks input that its windows need and that has expired (exit code 5)",
        final=True,
        advice='Keep the topics for longer (retention.ms); snapshots.on_missing_history = "warn" '
        "goes on with windows that are too small at first",
    ),
}


def ending_of(code: int) -> Ending:
    """What an exit code means; a negative one is the signal that ended the process."""
    if code < 0:
        return Ending(f"was ended by signal {-code}")
    return _KNOWN.get(code, Ending(f"failed (exit code {code})"))
