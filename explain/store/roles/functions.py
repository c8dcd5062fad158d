"""What the database lets this login do, and the functions that do the rest for it and log it."""

from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, text

_RIGHTS = text(
    "SELECT has_table_privilege('weir_records', 'SELECT') "
    "AND has_table_privilege('weir_anchors', 'SELECT') AS reads, "
    "has_table_privilege('weir_acts', 'SELECT') AS lists, "
    "has_table_privilege('weir_acts', 'SELECT') "
    "AND has_table_privilege('weir_acts', 'INSERT') AS acts, "
    "has_table_privilege('weir_anchors', 'SELECT') "
    "AND has_table_privilege('weir_anchors', 'INSERT') AS signs, "
    "to_regproc('weir_ask') IS NOT NULL AS functions"
)
_ASK = text("SELECT weir_ask(CAST(:what AS jsonb), :by, :note)")
_ANSWER = text("SELECT weir_answer(:act)")
_SIGNED = text("SELECT weir_signed()")
_LOG = text("SELECT weir_log(:kind, CAST(:what AS jsonb), :count, :by, :note)")
_REDACT = text("SELECT weir_redact(CAST(:what AS jsonb), :by, :note)")
_MAY_REDACT = text(
    "SELECT has_table_privilege('weir_records', 'UPDATE') OR coalesce(has_function_privilege("
    "to_regprocedure('weir_redact(jsonb, text, text)'), 'EXECUTE'), false)"
)
_ERASED = text("SELECT weir_erased(CAST(:what AS jsonb), :by, :note)")


class Rights(NamedTuple):
    """What this login may do by itself: read records and anchors, list and log acts, sign anchors.

    What it may not do, `functions` of the database do for it, where they were made.
    """

    reads: bool
    lists: bool
    acts: bool
    signs: bool
    functions: bool


def rights_of(connection: Connection) -> Rights:
    """What this login may do; everything in SQLite, which knows no logins."""
    if connection.dialect.name == "sqlite":
        return Rights(True, True, True, True, False)
    return Rights(*connection.execute(_RIGHTS).one())


def may_redact(connection: Connection) -> bool:
    """Whether this login may empty records, by itself or by the function that logs it."""
    if connection.dialect.name == "sqlite":
        return True
    return rights_of(connection).reads and bool(connection.execute(_MAY_REDACT).scalar_one())


def ask(connection: Connection, what: dict[str, Any], *, by: str, note: str) -> int:
    """Log a read that is to come; the number of its act.

    Args:
        what: the conditions and the limit.
    """
    given = {"what": _json(what), "by": by, "note": note}
    return int(connection.execute(_ASK, given).scalar_one())


def answer(connection: Connection, act: int) -> list[bytes]:
    """The records that a logged read means; refused before an anchor was signed for it."""
    return [bytes(each) for each in connection.execute(_ANSWER, {"act": act}).scalars()]


def signed(connection: Connection) -> int:
    """The number of the last act that an anchor was signed for."""
    return int(connection.execute(_SIGNED).scalar_one())


def log(
    connection: Connection, kind: str, what: dict[str, Any], count: int, *, by: str, note: str
) -> int:
    """Log an act that is no read; its number. A redaction is carried out, too."""
    given = {"what": _json(what), "by": by, "note": note}
    if kind == "redact":
        return int(connection.execute(_REDACT, given).scalar_one())
    if kind == "erase":
        return int(connection.execute(_ERASED, given).scalar_one())
    return int(connection.execute(_LOG, given | {"kind": kind, "count": count}).scalar_one())


def _json(what: dict[str, Any]) -> str:
    return msgspec.json.encode(what).decode()
