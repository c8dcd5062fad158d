"""Redaction: the bytes of one person's records go, and the chain stays."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, and_, not_, or_, select, update

from explain.store.act_book import PATIENCE_S, ActBook
from explain.store.anchors import add_anchor
from explain.store.chain import link_hash
from explain.store.checking.anchor_check import refuse_retired
from explain.store.checking.verification import Step, silent, verify
from explain.store.database import Database
from explain.store.errors import StoreError, TamperedError
from explain.store.keys import Trusted
from explain.store.people.matching import count, matching
from explain.store.people.retention import active_holds
from explain.store.records import Keys, keys_of
from explain.store.redactions import EMPTIED, Redaction, seal_of
from explain.store.roles.functions import may_redact, rights_of
from explain.store.tables import records
from streams.base.clock import now_ms
from streams.base.signing import Signer

_AT_ONCE = 2_000
"""Rows of one act: what is appended meanwhile waits for it."""


@dataclass(frozen=True)
class RedactionPlan:
    """What a redaction does.

    Attributes:
        records: how many are redacted.
        held: how many stay as they are, since a hold is on them.
        held_by: numbers of these holds.
    """

    records: int
    held: int
    held_by: tuple[int, ...]


class Redactor:
    """Redacts the records of one token, in one person's name.

    Args:
        who: their name, under which it is logged.
        clock: UTC milliseconds.
    """

    def __init__(self, database: Database, who: str, clock: Callable[[], int] = now_ms) -> None:
        self._database = database
        self._book = ActBook(database, who, clock, PATIENCE_S)
        self._clock = clock

    def plan(self, token: str) -> RedactionPlan:
        """What `redact` would do.

        Raises:
            StoreUnavailableError, StoreError: the database failed, or this login may not.
        """
        with self._database.reading() as connection:
            if not may_redact(connection):
                raise StoreError(
                    "store.url: this login may not erase records: a keeper's may, once the owner "
                    "of the tables has run `weir audit roles --apply` of this version"
                )
            return _plan(connection, token)

    def redact(
        self, field: str, token: str, trusted: Trusted, note: str = "", step: Step = silent
    ) -> RedactionPlan:
        """Empty the records of a token, but for those under a hold.

        The bytes of a record go, and its event's id and token. The act that says so, the anchor
        that is signed for it as for a redaction, and what it does are one transaction; where many
        rows are redacted, there are several, and another call goes on where one was killed. The
        store is verified before: afterwards nobody could tell what had been done to what is gone.

        Args:
            field: which identifier the token stands for, which the act says.

        Raises:
            TamperedError: the store is not as it was written; nothing was redacted.
            StoreError: the key that signs is not here, or may not sign any more; this login may
                not; or the database failed.
            StoreUnavailableError: the database does not answer.
        """
        plan = self.plan(token)
        if not plan.records:
            return plan
        signer = self._signer(trusted)
        report = verify(self._database, trusted, step=step)
        if report.tampered:
            raise TamperedError(
                f"nothing was erased, since it may be evidence: {report.tampered[0]}"
            )
        done = 0
        while emptied := self._redact_some(field, token, signer, note):
            done += emptied
        self._database.forget()
        with self._database.reading() as connection:
            left = _plan(connection, token)
        return RedactionPlan(done, left.held, left.held_by)

    def _signer(self, trusted: Trusted) -> Signer:
        signer = self._database.signer()
        if signer is None or signer.id not in trusted:
            raise StoreError(
                "store.key_file: records are erased under the key that signs the store, and it "
                "can't be read here, or is not trusted: name it, or run this where it is"
            )
        with self._database.reading() as connection:
            refuse_retired(connection, trusted, signer, self._clock())
        return signer

    def _redact_some(self, field: str, token: str, signer: Signer, note: str) -> int:
        with self._database.writing() as connection:
            rows = _rows(connection, token)
            if not rows:
                return 0
            seals = {row.sequence: _seal(row) for row in rows}
            what = msgspec.to_builtins(Redaction(field, seals), str_keys=True)
            rights = rights_of(connection)
            self._book.write(connection, "redact", what, len(rows), note, sign=False)
            if rights.acts:  # else the database's function has done both
                listed = records.c.sequence.in_(seals)
                connection.execute(update(records).where(listed).values(**EMPTIED))
            add_anchor(connection, self._database.id, signer, self._clock(), redacts=True)
            return len(rows)


def _rows(connection: Connection, token: str) -> list[Row[Any]]:
    """Some of the rows of a token that no hold is on, the oldest first."""
    stays = or_(False, *(each.hold.condition() for each in active_holds(connection)))
    chosen = select(records).where(_of(token), not_(stays)).order_by(records.c.sequence)
    return list(connection.execute(chosen.limit(_AT_ONCE)))


def _seal(row: Row[Any]) -> str:
    """The seal of a row; it is for good, so what somebody did since the store was verified counts.

    Raises:
        TamperedError: the row is not as it was appended.
    """
    columns = Keys(*(row._mapping[name] for name in Keys._fields))
    if link_hash(row.sequence, row.previous, row.body) != row.hash or keys_of(row.body) != columns:
        raise TamperedError(
            f"record {row.sequence} was changed while the store was verified, and was not erased: "
            "see `weir audit verify`"
        )
    left = columns._replace(event_id="", event_key="")
    return seal_of(row.sequence, row.previous, row.hash, left).hex()


def _plan(connection: Connection, token: str) -> RedactionPlan:
    holding = {
        each.number: condition
        for each in active_holds(connection)
        if count(connection, condition := and_(_of(token), each.hold.condition()))
    }
    held = count(connection, or_(False, *holding.values()))
    return RedactionPlan(count(connection, _of(token)) - held, held, tuple(holding))


def _of(token: str) -> ColumnElement[bool]:
    return matching({"event_key": token})
