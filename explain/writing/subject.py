"""What stands in records for one subject (a card, a device, an address), made with its data key.

Its token is the HMAC of its identifier; the places of its events are encrypted. Both are always the
same, so that a record that is made again has the same bytes. Without the key nobody can compute
either, open a place, or tell whose they are.
"""

import hashlib
import hmac
from dataclasses import dataclass
from struct import Struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

_TOKEN, _PLACE = b"weir.token\0", b"weir.place\0"
_PARTITION_AND_OFFSET = Struct(">IQ")  # of one length, which tells nothing of how large they are


@dataclass(frozen=True, repr=False)
class Subject:
    """One subject and its data key.

    Args:
        name: field and identifier, as bytes that no other subject has.
        key: the data key, 32 bytes.
    """

    name: bytes
    key: bytes

    @property
    def token(self) -> str:
        """What stands for its identifier, 64 hex digits."""
        return hmac.digest(self.key, _TOKEN + self.name, hashlib.sha256).hex()

    def seal(self, topic: str, partition: int, offset: int) -> str:
        """What stands for the place of one of its events, 56 hex digits."""
        place = _PARTITION_AND_OFFSET.pack(partition, offset)
        return _cipher(self.key).encrypt(place, [topic.encode()]).hex()


def open_place(key: bytes, topic: str, place: str) -> tuple[int, int] | None:
    """Partition and offset of a place in a topic; None if another data key has sealed it."""
    try:
        opened = _cipher(key).decrypt(bytes.fromhex(place), [topic.encode()])
    except InvalidTag:
        return None
    partition, offset = _PARTITION_AND_OFFSET.unpack(opened)
    return partition, offset


def _cipher(key: bytes) -> AESSIV:
    """AES-SIV (RFC 5297): it needs no nonce, so a place is sealed to the same bytes every time."""
    return AESSIV(hmac.digest(key, _PLACE, hashlib.sha512))
