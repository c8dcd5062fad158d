"""Whether a dead letter is about somebody: his identifier in its key, or in its record."""

import re

import msgspec

from streams.dead_letters.letter import DeadLetter


class Mentions:
    """Looks for one identifier in letters.

    A record that is JSON is read, at any depth. In one that is not, as most are that were rejected,
    the field's name and the value after it are looked for as text. In Avro or Protobuf nothing can
    be told; `unreadable` says of which.

    Args:
        field: of events, such as ``card_id``.
        identifier: its value, as text.
        is_key: whether that field is the Kafka key, too.
    """

    def __init__(self, field: str, identifier: str, *, is_key: bool) -> None:
        self._field = field
        self._identifier = identifier
        self._key = identifier.encode() if is_key else None
        self._pattern = re.compile(
            rb'["\']?'
            + re.escape(field.encode())
            + rb'["\']?\s*[:=]\s*["\']?'
            + re.escape(identifier.encode())
            + rb"(?![\w.-])"
        )

    def __call__(self, letter: DeadLetter) -> bool:
        """Whether the letter is about him."""
        if self._key is not None and letter.key == self._key:
            return True
        value = letter.value or b""
        return bool(self._pattern.search(value)) or self._holds(_read(value))

    @staticmethod
    def unreadable(letter: DeadLetter) -> bool:
        """Whether nothing can be told of what the record holds."""
        try:
            (letter.value or b"").decode()
        except UnicodeDecodeError:
            return True
        return letter.is_partial

    def _holds(self, value: object) -> bool:
        if isinstance(value, dict):
            found = value.get(self._field)
            if isinstance(found, str | int) and str(found) == self._identifier:
                return True
            return any(self._holds(each) for each in value.values())
        return isinstance(value, list) and any(self._holds(each) for each in value)


def _read(value: bytes) -> object:
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
