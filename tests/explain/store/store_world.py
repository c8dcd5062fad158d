"""What tests of the store share: records, a clock, keys."""

import hashlib
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from explain.store.appending import Appender
from explain.store.database import Database
from explain.store.keys import Trusted
from explain.store.settings import StoreSettings
from streams.base.atomic_file import write_atomic
from streams.base.signing import Signer

DAY_MS = 86_400_000
T0 = 1_750_000_000_000

_KEY = Ed25519PrivateKey.generate()
SIGNER = Signer(_KEY)
TRUSTED = Trusted([SIGNER.public])


def open_store(folder: Path, url: str | None = None) -> Database:
    """A store whose key is SIGNER, by default in SQLite."""
    key = folder / "audit-key.pem"
    folder.mkdir(exist_ok=True)
    if not key.exists():
        pem = _KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        write_atomic(key, pem, mode=0o600, replace=False)
    return StoreSettings(url=url, key_file=key).open_database(folder)


def record(number: int, **changes: Any) -> bytes:
    """The explanation record of event `number`, which happened at T0 + `number` days.

    `changes` are keys with a dot for their parents, such as ``event__key="k"``.
    """
    value: dict[str, Any] = {
        "schema": "weir.explanation/1",
        "id": hashlib.sha256(str(number).encode()).hexdigest()[:32],
        "event": {
            "id": number,
            "key": f"token-{number % 3}",
            "topic": "weir.events",
            "partition": 0,
            "offset": number,
            "time": T0 + number * DAY_MS,
        },
        "decision": {"outcome": ("review", "decline")[number % 2], "policy": "1"},
        "model": {"package": "ab" * 32, "version": 1},
        "explanation": {"baseline": -4.25, "attributions": [{"group": "amount", "value": 1.5}]},
    }
    for name, new in changes.items():
        *parents, last = name.split("__")
        inner = value
        for parent in parents:
            inner = inner[parent]
        inner[last] = new
    return msgspec.json.encode(value, order="sorted")


class Clock:
    """A clock that stands still."""

    def __init__(self, now: int = T0) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


def appender(
    database: Database, every: int = 1_000, after_ms: int = 10**13, **more: Any
) -> Appender:
    """One that signs by the number of records only."""
    return Appender(
        database,
        SIGNER,
        anchor_every=every,
        anchor_after_ms=after_ms,
        clock=more.get("clock", Clock()),
    )


def fill(database: Database) -> Database:
    """Append twenty records, one a day, with anchors at 5, 10, 15 and 20."""
    ours = appender(database, every=5)
    for first in range(0, 20, 5):
        ours.append([record(number) for number in range(first, first + 5)])
    return database
