"""Whose anchors count, and for how long; opening the store's own key."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from explain.store.errors import StoreError
from streams.base import signing
from streams.base.signing import KeyFileError, Signer, key_id


@dataclass(frozen=True)
class TrustedKey:
    """A public key, and which anchors it may have signed.

    Attributes:
        first, last: numbers of anchors; `last` is None for no end.
        from_ms, to_ms: at or after, and before, UTC milliseconds; None for no bound.
        shares: whether it signs beside the others, as that of a second sink does, and not in the
            place of one of them.
    """

    public: Ed25519PublicKey
    first: int = 1
    last: int | None = None
    from_ms: int | None = None
    to_ms: int | None = None
    shares: bool = False

    def refusal(self, number: int, time_ms: int) -> str | None:
        """Why it may not have signed the anchor of this number and time; None if it may."""
        if number < self.first or (self.last is not None and number > self.last):
            last = "" if self.last is None else f" to {self.last}"
            return f"is trusted for the anchors from {self.first}{last} only"
        early = self.from_ms is not None and time_ms < self.from_ms
        if early or (self.to_ms is not None and time_ms >= self.to_ms):
            return "is not trusted for the time at which this one says it was signed"
        return None


class Trusted(signing.Trusted):
    """The keys whose anchors count.

    Args:
        keys: the one in use first. The others are former ones, which sign nothing once that one
            has signed, unless they share.
    """

    def __init__(self, keys: Iterable[Ed25519PublicKey | TrustedKey]) -> None:
        given = [key if isinstance(key, TrustedKey) else TrustedKey(key) for key in keys]
        super().__init__(key.public for key in given)
        self._ranges: dict[str, list[TrustedKey]] = {}
        for key in given:
            self._ranges.setdefault(key_id(key.public), []).append(key)
        self.in_use = key_id(given[0].public) if given else ""

    def refusal(self, name: str, number: int, time_ms: int) -> str | None:
        """Why the key of this id may not have signed the anchor; None if it may."""
        said = [key.refusal(number, time_ms) for key in self._ranges[name]]
        return None if None in said else said[0]

    def shares(self, name: str) -> bool:
        """Whether the key of this id signs beside others."""
        return any(key.shares for key in self._ranges.get(name, ()))


class Succession:
    """Sees that keys follow each other: one whose place another has taken never signs again.

    Told of the anchors in their order. Keys that share take nobody's place.

    Args:
        in_use: id of the key that none of the others follows; empty where that is the question.
    """

    def __init__(self, trusted: Trusted, in_use: str) -> None:
        self._trusted = trusted
        self._in_use = in_use
        self._last = ""
        self._followed: set[str] = set()

    def refusal(self, name: str) -> str | None:
        """Why the key of this id may not sign the next anchor; None if it may."""
        if name == self._last or self._trusted.shares(name):
            return None
        former = bool(self._in_use) and self._in_use in (self._last, *self._followed)
        if name in self._followed or (former and name != self._in_use):
            return (
                f"is a former one: key {self._last[:16]}… had taken its place before. Where two "
                "sinks sign at once, give them one key_file, or say shares = true in "
                "store.trusted_keys"
            )
        if self._last:
            self._followed.add(self._last)
        self._last = name
        return None


def open_signer(path: Path) -> Signer:
    """The store's private key, made if it is not there.

    Raises:
        StoreError: it can't be read or made, or others may read it.
    """
    try:
        return signing.open_signer(path)
    except KeyFileError as error:
        raise StoreError(f"store.key_file: {error}") from error
