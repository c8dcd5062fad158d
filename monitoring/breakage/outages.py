"""What happened to the stream itself: who fell silent, and bursts of dead letters."""

from collections.abc import Mapping, Sequence

from monitoring.breakage.kind import Kind
from monitoring.breakage.kinds import Diagnosis, percent, whose_words
from monitoring.breakage.producers import source
from monitoring.breakage.shares import SURE, evidence_above, limit_above
from monitoring.breakage.silence import Silence
from streams.base.clock import utc
from streams.events.rejection import Reason

SCHEMA_REASONS = frozenset(
    {
        Reason.MISSING_FIELD,
        Reason.NULL_FIELD,
        Reason.WRONG_TYPE,
        Reason.NOT_EXACT,
        Reason.BAD_FRAME,
        Reason.UNKNOWN_SCHEMA,
        Reason.WRONG_SCHEMA,
        Reason.BAD_BODY,
        Reason.BREAKS_SCHEMA,
    }
)
"""Reasons that say that a producer sends other fields or types than agreed."""
TIMES, LEAST = 3.0, 0.001
"""Of records, the odds of a reason may be three times those of the past, and .001 at least."""


def silence_found(kind: Kind, name: str, silence: Silence) -> Diagnosis:
    """Say who fell silent.

    Args:
        kind: `Kind.SILENT_PRODUCER` or `Kind.SILENT_PARTITION`.
        name: for people, such as ``app-version 4.2.0``, ``partition 3`` or ``the whole stream``.
        silence: as `silence.silent` found it.
    """
    words = (
        f"{name} has been silent since {utc(silence.since, 's')}: {silence.seen:,} events where"
        f" about {silence.expected:,.0f} were expected"
    )
    share = 1 - min(1.0, silence.seen / silence.expected)
    producer = name if kind is Kind.SILENT_PRODUCER else None
    return Diagnosis(kind, name, words, silence.since, share, producer)


def dead_letters_found(
    reason: str,
    past: tuple[int, int],
    by_producer: Mapping[str, tuple[int, int]],
    since: int,
    newcomers: Sequence[str] = (),
) -> Diagnosis | None:
    """Say whether dead letters of a reason burst.

    Args:
        reason: one of `Reason`; with a field, ``wrong_type of amount``.
        past: such dead letters, and all records, of a long quiet time.
        by_producer: the same since the change, by producer; one of any name where none is known.
        since: when it began, UTC ms.
        newcomers: producers that appeared about then.
    """
    letters = sum(yes for yes, _ in by_producer.values())
    records = sum(total for _, total in by_producer.values())
    limit = limit_above(*past, times=TIMES, least=LEAST) if past[1] else LEAST
    if evidence_above(letters, records, limit) < SURE:
        return None
    whose = source(by_producer, past[0] / max(1, past[1]))
    is_schema = reason.split(" ")[0] in SCHEMA_REASONS
    words = (
        f"{percent(letters / records)} of records are rejected as {reason} since"
        f" {utc(since, 's')}{whose_words(whose, newcomers)}"
    )
    kind = Kind.SCHEMA if is_schema else Kind.DEAD_LETTERS
    share, producer = letters / records, whose.producer if whose else None
    return Diagnosis(kind, reason, words, since, share, producer)
