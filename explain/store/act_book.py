"""Writing down what one person does, so that nobody takes it back unseen."""

from collections.abc import Callable
from time import monotonic, sleep
from typing import Any

from sqlalchemy import Connection

from explain.store.acts import Kind, add_act, check_name
from explain.store.anchors import add_anchor, last_anchor
from explain.store.database import Database
from explain.store.errors import StoreError
from explain.store.roles.functions import Rights, log, rights_of, signed
from streams.base.clock import now_ms

PATIENCE_S = 15.0
"""The sink signs within a second; it may be waiting for the database, or be starting."""
_LOOK_S = 0.1


class ActBook:
    """The acts of one person, each signed at once.

    Where the key is here and the login may insert anchors, an act and its anchor are one
    transaction. Else the sink signs as soon as it sees the act, and `settle` waits for that.

    Args:
        who: their name. PostgreSQL knows better: there it is what they say beside their login.
        clock: UTC milliseconds.
        patience_s: how long the sink may take to sign.
    """

    def __init__(
        self,
        database: Database,
        who: str,
        clock: Callable[[], int] = now_ms,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._database = database
        self.who = who
        self._clock = clock
        self._patience_s = patience_s

    def write(
        self,
        connection: Connection,
        kind: Kind,
        what: dict[str, Any],
        count: int,
        note: str,
        *,
        sign: bool = True,
    ) -> int:
        """Log an act in a transaction that writes; its number.

        Args:
            sign: whether an anchor is to vouch for it; not where the caller signs one.

        Raises:
            ValueError: nobody is named.
            TamperedError: the end of a chain is not as it was written.
            StoreError: this login may not.
        """
        check_name(self.who)
        rights = rights_of(connection)
        store = self._database.id
        if rights.acts:
            number = add_act(
                connection,
                store,
                kind,
                who=self.who,
                now_ms=self._clock(),
                what=what,
                count=count,
                note=note,
            )
        elif not rights.functions:
            raise StoreError(
                "store.url: this login may not write acts, and the database has no functions that "
                "do so for it: its owner makes them with `weir audit roles --apply`"
            )
        else:
            number = log(connection, kind, what, count, by=self.who, note=note)
        signer = self._database.signer() if sign and rights.signs else None
        if signer is not None:
            add_anchor(connection, store, signer, self._clock())
        return number

    def settle(self, number: int) -> None:
        """Wait until an anchor was signed for the act of this number, which is committed.

        Raises:
            StoreUnavailableError: the database failed.
            StoreError: no anchor came in time.
        """
        until = monotonic() + self._patience_s
        while True:
            with self._database.reading() as connection:
                if _signed(connection, rights_of(connection)) >= number:
                    return
            if monotonic() > until:
                raise StoreError(
                    f"act {number} is written down, and no anchor was signed for it within "
                    f"{self._patience_s:g} s, so nothing is shown or done: is `weir sink` running "
                    "on this store? Where it is not, name its key in store.key_file"
                )
            sleep(_LOOK_S)

    def do(self, kind: Kind, what: dict[str, Any], count: int, note: str) -> int:
        """Log an act in a transaction of its own, and have it signed; its number.

        Raises:
            ValueError, StoreUnavailableError, StoreError: see `write` and `settle`.
        """
        with self._database.writing() as connection:
            number = self.write(connection, kind, what, count, note)
        self.settle(number)
        return number


def _signed(connection: Connection, rights: Rights) -> int:
    """The last act that an anchor vouches for."""
    if not rights.reads:
        return signed(connection)
    last = last_anchor(connection)
    return 0 if last is None else last.acts.sequence
