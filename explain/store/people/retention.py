"""Retention: old records go, whole segments under an anchor at a time, unless a hold keeps them."""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec
from sqlalchemy import ColumnElement, Connection, delete, func, or_, select

from explain.store.act_book import PATIENCE_S, ActBook
from explain.store.acts import parse_act
from explain.store.anchors import Anchor, add_anchor
from explain.store.chain import Head
from explain.store.checking.verification import Step, silent, verify
from explain.store.database import Database
from explain.store.errors import TamperedError
from explain.store.keys import Trusted
from explain.store.people.matching import count, matching
from explain.store.tables import acts, anchors, records
from streams.base.clock import now_ms
from streams.base.signing import Signer


class Hold(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which records must stay: those of an event, of a key's token, or of a span of event time.

    Attributes:
        from_ms, to_ms: at or after, and before, UTC milliseconds.
    """

    event_id: str | None = None
    event_key: str | None = None
    from_ms: int | None = None
    to_ms: int | None = None

    def condition(self) -> ColumnElement[bool]:
        """The same for the database: all that is given has to be so."""
        return matching(msgspec.to_builtins(self))


@dataclass(frozen=True)
class ActiveHold:
    """A hold that was not released.

    Attributes:
        number: of the act that began it, by which it is released.
        since: UTC milliseconds.
    """

    number: int
    hold: Hold
    who: str
    since: int
    note: str


@dataclass(frozen=True)
class PurgePlan:
    """What a purge removes.

    Attributes:
        through: the last record that goes; 0 if none does.
        records: how many go.
        wanted: how many are older than asked, those included that have to stay.
        held_by: numbers of the holds that keep some of those.
    """

    through: int
    records: int
    wanted: int
    held_by: tuple[int, ...]


class Retention:
    """Holds and purges, in one person's name.

    Args:
        who: their name, under which it is logged.
        clock: UTC milliseconds.
        patience_s: see `ActBook`.
    """

    def __init__(
        self,
        database: Database,
        who: str,
        clock: Callable[[], int] = now_ms,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._database = database
        self._book = ActBook(database, who, clock, patience_s)
        self._clock = clock

    def holds(self) -> list[ActiveHold]:
        """The holds that are in force, the oldest first.

        Raises:
            StoreUnavailableError, StoreError: the database failed.
        """
        with self._database.reading() as connection:
            return active_holds(connection)

    def add(self, hold: Hold, note: str) -> tuple[int, int]:
        """Put records under a hold, those to come included; its number, and how many there are.

        Raises:
            ValueError: it says nothing, or its span is empty.
            StoreUnavailableError, StoreError: the database failed.
        """
        if hold == Hold():
            raise ValueError("say what is held: an event, a key's token or a span of time")
        if None not in (hold.from_ms, hold.to_ms) and hold.from_ms >= hold.to_ms:  # type: ignore[operator]
            raise ValueError("the span is empty: it has to begin before it ends")
        with self._database.writing() as connection:
            held = count(connection, hold.condition())
            what = msgspec.to_builtins(hold)
            number = self._book.write(connection, "hold", what, held, note)
        self._book.settle(number)
        return number, held

    def release(self, number: int, note: str) -> None:
        """End a hold.

        Raises:
            ValueError: no hold of this number is in force.
            StoreUnavailableError, StoreError: the database failed.
        """
        with self._database.writing() as connection:
            if number not in {each.number for each in active_holds(connection)}:
                raise ValueError(f"no hold {number} is in force: `weir audit hold list`")
            act = self._book.write(connection, "release", {"hold": number}, 0, note)
        self._book.settle(act)

    def plan(self, before_ms: int) -> PurgePlan:
        """What `purge` would remove.

        Raises:
            StoreUnavailableError, StoreError: the database failed.
        """
        with self._database.reading() as connection:
            return _plan(connection, before_ms)

    def purge(
        self, before_ms: int, signer: Signer, trusted: Trusted, note: str = "", step: Step = silent
    ) -> PurgePlan:
        """Remove the oldest records whose events are all older than `before_ms`.

        Records go from the beginning of the chain up to an anchor. The first record that is young
        or held ends that, so what is behind it stays too. The store is verified before: afterwards
        nobody could tell what had been done to what is gone. A signed anchor says where the chain
        begins from now on.

        Raises:
            TamperedError: the store is not as it was written; nothing was removed.
            StoreUnavailableError, StoreError: the database failed.
        """
        report = verify(self._database, trusted, step=step)
        if report.tampered:
            raise TamperedError(
                f"nothing was removed, since it may be evidence: {report.tampered[0]}"
            )
        with self._database.writing() as connection:
            plan = _plan(connection, before_ms)
            if plan.records:
                self._remove(connection, plan, before_ms, signer, note)
            return plan

    def _remove(
        self, connection: Connection, plan: PurgePlan, before_ms: int, signer: Signer, note: str
    ) -> Anchor:
        last = select(records.c.hash).where(records.c.sequence == plan.through)
        purged = Head(plan.through, connection.execute(last).scalar_one())
        what = {"before_ms": before_ms, "through": plan.through}
        # The anchor first looks whether the chain's end is there, so rows go after it.
        self._book.write(connection, "purge", what, plan.records, note, sign=False)
        anchor = add_anchor(connection, self._database.id, signer, self._clock(), purged)
        connection.execute(delete(records).where(records.c.sequence <= plan.through))
        return anchor


def active_holds(connection: Connection) -> list[ActiveHold]:
    """The holds that are in force, the oldest first.

    Raises:
        TamperedError: one is none that Weir wrote.
    """
    chosen = select(acts.c.sequence, acts.c.body).where(acts.c.kind.in_(("hold", "release")))
    found: dict[int, ActiveHold] = {}
    for row in connection.execute(chosen.order_by(acts.c.sequence)):
        act = parse_act(row.sequence, row.body)
        try:
            if act.kind == "hold":
                hold = msgspec.convert(act.what, Hold)
                found[row.sequence] = ActiveHold(row.sequence, hold, act.name, act.time, act.note)
            else:
                found.pop(act.what["hold"], None)
        except (msgspec.ValidationError, KeyError, TypeError) as error:
            raise TamperedError(
                f"act {row.sequence} is no {act.kind} that Weir wrote: see `weir audit verify`"
            ) from error
    return list(found.values())


def _plan(connection: Connection, before_ms: int) -> PurgePlan:
    old = records.c.event_time < before_ms
    holds = active_holds(connection)
    stays: ColumnElement[bool] = records.c.event_time >= before_ms
    if holds:
        stays = or_(stays, *(each.hold.condition() for each in holds))
    first_kept = connection.execute(select(func.min(records.c.sequence)).where(stays)).scalar()
    under = select(func.max(anchors.c.sequence))
    if first_kept is not None:
        under = under.where(anchors.c.sequence < first_kept)
    through = connection.execute(under).scalar() or 0

    holding = tuple(each.number for each in holds if count(connection, old, each.hold.condition()))
    removed = count(connection, records.c.sequence <= through)
    return PurgePlan(through if removed else 0, removed, count(connection, old), holding)
