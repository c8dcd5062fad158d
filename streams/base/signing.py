"""Ed25519 keys: who signs, and whose signatures count."""

import hashlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from streams.base.atomic_file import write_atomic
from streams.base.errors import WeirError

_OTHERS = 0o077


class KeyFileError(WeirError):
    """A file holds no key that can be used; the message names it."""


def key_id(key: Ed25519PublicKey) -> str:
    """The SHA-256 of a public key's 32 bytes, in hex."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()


class Signer:
    """Signs with a private key.

    Attributes:
        id: of its public key, see `key_id`.
    """

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = key.public_key()
        self.id = key_id(self.public)

    def sign(self, body: bytes) -> bytes:
        """The signature, 64 bytes."""
        return self._key.sign(body)

    def public_pem(self) -> str:
        """The public key, for whoever verifies."""
        return self.public.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        ).decode()


@dataclass(frozen=True)
class TrustedKey:
    """A public key, and what its owner may sign.

    Attributes:
        may: such as ``champion``, ``policy``, ``package`` and ``erase``.
    """

    public: Ed25519PublicKey
    may: frozenset[str]

    @property
    def id(self) -> str:
        """See `key_id`."""
        return key_id(self.public)

    def signed(self, body: bytes, signature: bytes) -> bool:
        """Whether the key made the signature of `body`."""
        return _made(self.public, body, signature)


def owner_of(trusted: Mapping[str, TrustedKey], key: str | None) -> str | None:
    """By whose name the key of this id is trusted; None if by nobody's."""
    return next((name for name, each in trusted.items() if each.id == key), None)


class Trusted:
    """Public keys whose signatures count."""

    def __init__(self, keys: Iterable[Ed25519PublicKey]) -> None:
        self._keys: Mapping[str, Ed25519PublicKey] = {key_id(key): key for key in keys}

    def __contains__(self, name: str) -> bool:
        return name in self._keys

    def signed(self, name: str, body: bytes, signature: bytes) -> bool:
        """Whether the key of this id made the signature of `body`."""
        return _made(self._keys[name], body, signature)


def open_signer(path: Path) -> Signer:
    """The private key in a file, which is made if it is not there, readable to its owner only.

    Raises:
        KeyFileError: the file can't be read or made, others may read it, or it holds no such key.
    """
    if not path.exists():
        _make(path)
    try:
        mode = path.stat().st_mode
        pem = path.read_bytes()
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror}") from error
    if mode & _OTHERS:
        raise KeyFileError(
            f"{path} may be read by others, who could sign in our name: `chmod 600 {path}`"
        )
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyFileError(f"{path} holds no private key: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError(f"{path} holds no Ed25519 key")
    return Signer(key)


def read_public(path: Path) -> Ed25519PublicKey:
    """A public key in PEM.

    Raises:
        KeyFileError: the file can't be read, or holds none.
    """
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror}") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyFileError(f"{path} holds no public key in PEM: {error}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise KeyFileError(f"{path} holds no Ed25519 key")
    return key


def _made(key: Ed25519PublicKey, body: bytes, signature: bytes) -> bool:
    try:
        key.verify(signature, body)
    except InvalidSignature:
        return False
    return True


def _make(path: Path) -> None:
    """Make a key; the file appears whole, and of two who make it at once, one wins."""
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            write_atomic(path, pem, mode=0o600, replace=False)
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror}") from error
