"""Who gives commands: Ed25519 signatures in the headers of control records."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from inference.control.commands import ModelVersion, PolicyVersion, RefusedCommandError
from streams.base.signing import Signer, TrustedKey, owner_of
from streams.kafka.records.control_topic import ControlRecord

KEY_HEADER = "weir-signed-by"
SIGNATURE_HEADER = "weir-signature"

_DOMAIN = b"weir-command-1"


class UntrustedCommandError(RefusedCommandError):
    """A command is not signed by a key that may give it."""


@dataclass(frozen=True)
class CommandKeys:
    """Signs commands, and says whose commands count.

    A signature covers topic, key and value of the record: moved to another topic or key, it is
    none. Where nobody is trusted by name, all commands count, signed or not.

    Attributes:
        topic: the control topic's name.
        signer: signs what we say; None where we can't.
        trusted: by the name of their owner.
    """

    topic: str
    signer: Signer | None = None
    trusted: Mapping[str, TrustedKey] = field(default_factory=dict)

    def headers(self, key: str, value: bytes) -> Sequence[tuple[str, bytes]]:
        """The headers of a record that we write; none where we have no key."""
        if self.signer is None:
            return ()
        signature = self.signer.sign(self._body(key, value))
        return ((KEY_HEADER, self.signer.id.encode()), (SIGNATURE_HEADER, signature))

    def own_name(self) -> str | None:
        """By which our own key is trusted here."""
        return owner_of(self.trusted, self.signer.id if self.signer is not None else None)

    def author(self, record: ControlRecord) -> str | None:
        """Whose signature a record carries; None where nobody is trusted by name.

        Raises:
            UntrustedCommandError: it is not signed, by nobody we trust, or by somebody who may not
                give commands of this key.
        """
        if not self.trusted:
            return None
        headers = dict(record.headers)
        if SIGNATURE_HEADER not in headers or record.value is None:
            raise UntrustedCommandError(
                f"{record.key}: the record at {record.place} is not signed, and "
                "signing.trusted_keys says whose commands count: give the command again with "
                "signing.key_file set"
            )
        signed_by = headers.get(KEY_HEADER, b"").decode("ascii", "replace")
        name, body = owner_of(self.trusted, signed_by), self._body(record.key, record.value)
        if name is None or not self.trusted[name].signed(body, headers[SIGNATURE_HEADER]):
            raise UntrustedCommandError(
                f"{record.key}: the record at {record.place} carries no valid signature of a key "
                f"in signing.trusted_keys (it names {signed_by[:12] or 'none'}): somebody else "
                "wrote or changed it"
            )
        may = self.trusted[name].may
        if record.key.partition("/")[0] not in may:
            raise UntrustedCommandError(
                f"{record.key}: {name} signed the record at {record.place}, and may only "
                f"{', '.join(sorted(may))}: see `may` of signing.trusted_keys.{name}"
            )
        return name

    def _body(self, key: str, value: bytes) -> bytes:
        return b"\0".join((_DOMAIN, self.topic.encode(), key.encode(), value))


Named = ModelVersion | PolicyVersion | None
"""What a command asks for, if it is a model or a policy."""


def check_author(where: str, author: str | None, by: str, named: Named = None) -> None:
    """Refuse what says that it is by another than who signed it.

    Args:
        where: the record, in words.
        author: see `CommandKeys.author`.

    Raises:
        UntrustedCommandError: it does.
    """
    if author is not None and by != author:
        raise UntrustedCommandError(
            f"{where} says that it is by {by!r}, and {author!r} signed it", named
        )


def check_later(
    where: str, author: str | None, at: int, stands_since: int, named: Named = None
) -> None:
    """Refuse what is signed, and no later than what stands: who has no key could say it again.

    Raises:
        UntrustedCommandError: it is.
    """
    if author is not None and at <= stands_since:
        raise UntrustedCommandError(
            f"{where} is not later than what stands: somebody wrote an old command once more", named
        )


class Authored(Protocol):
    """What is said in somebody's name, ``at`` a time in UTC milliseconds."""

    by: str
    at: int


def check_entry(
    record: ControlRecord, author: str | None, said: Authored, stands: Authored | None
) -> None:
    """Refuse what is by another than its author, or, if signed, no later than what stands.

    What stands, written once more, is no other command.

    Args:
        author: see `CommandKeys.author`.

    Raises:
        UntrustedCommandError: it is.
    """
    where = f"{record.key}: the record at {record.place}"
    check_author(where, author, said.by)
    if stands is not None and said != stands:
        check_later(where, author, said.at, stands.at)
