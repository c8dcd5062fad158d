"""Whatever is done to the store of explanations, `weir audit verify` names where it was done.

Appends records to a fresh store and verifies it. Then something is done at random to a thousand
places at once: `verify` has to find each of them, and no other. Then one deed at a time, of more
kinds: `verify` has to name the first place that is not as it was written, and the deed is undone.
"""

import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import msgspec
import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, delete, insert, select, text, update

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.harness import arguments, report
from explain.store.appending import Appender
from explain.store.chain import link_hash
from explain.store.checking.verification import verify
from explain.store.database import Database
from explain.store.keys import Trusted
from explain.store.records import keys_of
from explain.store.settings import StoreSettings
from explain.store.tables import records
from streams.base.signing import Signer

_BATCH = 500
_ANCHOR_EVERY = 1_000
_T0 = 1_767_225_600_000

Rng = np.random.Generator
Undo = Callable[[Connection], object]
Done = tuple[int, Undo]
"""Where `verify` has to point, and how to take it back."""
Deed = Callable[[Connection, int, int, Rng], Done]
"""Called with a connection, the number of a record, that of the last one, and a generator."""


def record(number: int, rng: Rng) -> bytes:
    """A record as the explainer writes them, of 17 features and four reasons."""
    names = [f"customer_amount_mean_{number}d" for number in range(17)]
    numbers = rng.normal(size=(4, 17)).round(6)
    return msgspec.json.encode(
        {
            "schema": "weir.explanation/1",
            "id": rng.bytes(16).hex(),
            "event": {
                "id": number,
                "key": rng.bytes(16).hex(),
                "topic": "weir.events",
                "partition": number % 4,
                "offset": number,
                "time": _T0 + 1_000 * number,
                "arrived": _T0,
                "explained": _T0,
            },
            "decision": {
                "outcome": ("review", "decline")[number % 5 == 0],
                "policy": "1",
                "fallback": None,
                "thresholds": {"review": 0.25, "decline": 0.75, "anomaly_review": None},
            },
            "answers": {"score": 0.5, "probability": 0.5, "anomaly": 1.5, "log_odds": 0.0},
            "model": {
                "package": "ab" * 32,
                "version": 3,
                "feature_schema": "cd" * 32,
                "training_data": "ef" * 32,
                "backend": "onnxruntime",
                "precision": "fp32",
            },
            "features": [
                {
                    "name": name,
                    "value": value,
                    "typical": 0.5,
                    "unit": "EUR",
                    "window": "7d",
                    "entity": "customer_id",
                }
                for name, value in zip(names, numbers[0].tolist(), strict=True)
            ],
            "explanation": {
                "attributions": [
                    {"group": name, "value": value, "error": 0.01}
                    for name, value in zip(names, numbers[1].tolist(), strict=True)
                ]
            },
            "reasons": [
                {
                    "code": f"R{code}",
                    "group": names[code],
                    "value": 1.5,
                    "typical": 0.5,
                    "analyst": {"en": "The amount is far above what this customer spends."},
                    "customer": {"en": "The amount was unusual for this card."},
                }
                for code in range(4)
            ],
        },
        order="sorted",
    )


def flip_byte(connection: Connection, place: int, last: int, rng: Rng) -> Done:
    """Change one byte of a record or of one of its hashes."""
    column = records.c[str(rng.choice(["body", "hash", "previous"]))]
    at = records.c.sequence == place
    before: bytes = connection.execute(select(column).where(at)).scalar_one()
    byte = int(rng.integers(len(before)))
    changed = before[:byte] + bytes([before[byte] ^ int(rng.integers(1, 256))]) + before[byte + 1 :]
    connection.execute(update(records).where(at).values({column: changed}))
    return place, lambda again: again.execute(update(records).where(at).values({column: before}))


def change_column(connection: Connection, place: int, last: int, rng: Rng) -> Done:
    """Change what a record is found by, so that it is found no more."""
    column = records.c[str(rng.choice(["event_id", "event_key", "outcome", "package", "id"]))]
    at = records.c.sequence == place
    before = connection.execute(select(column).where(at)).scalar_one()
    connection.execute(update(records).where(at).values({column: rng.bytes(16).hex()}))
    return place, lambda again: again.execute(update(records).where(at).values({column: before}))


def remove(connection: Connection, place: int, last: int, rng: Rng) -> Done:
    """Remove up to five records."""
    some = records.c.sequence.between(place, place + int(rng.integers(5)))
    gone = [row._asdict() for row in connection.execute(select(records).where(some))]
    connection.execute(delete(records).where(some))
    return place, lambda again: again.execute(insert(records), gone)


def cut_off(connection: Connection, place: int, last: int, rng: Rng) -> Done:
    """Remove the end, of up to a thousand records, and all anchors of it stay."""
    first = last - int(rng.integers(1_000))
    some = records.c.sequence >= first
    gone = [row._asdict() for row in connection.execute(select(records).where(some))]
    connection.execute(delete(records).where(some))
    return first, lambda again: again.execute(insert(records), gone)


def swap(connection: Connection, place: int, last: int, rng: Rng) -> Done:
    """Let two records change places."""
    other = int(rng.integers(1, last + 1))
    if other == place:
        other = place % last + 1

    def exchange(again: Connection) -> None:
        for old, new in ((place, -1), (other, place), (-1, other)):
            at = records.c.sequence == old
            again.execute(update(records).where(at).values(sequence=new))

    exchange(connection)
    return min(place, other), exchange


def move(connection: Connection, place: int, last: int, rng: Rng) -> Done:
    """Put a record behind the end."""
    far = last + int(rng.integers(1, 1_000))
    connection.execute(update(records).where(records.c.sequence == place).values(sequence=far))
    back = update(records).where(records.c.sequence == far).values(sequence=place)
    return place, lambda again: again.execute(back)


def replace(connection: Connection, place: int, last: int, rng: Rng) -> Done:
    """Replace a record and compute its hash anew, as a forger who knows the rules would."""
    at = records.c.sequence == place
    before = connection.execute(select(records).where(at)).one()
    forged = before.body.replace(b'"EUR"', b'"USD"')
    hashed = link_hash(place, before.previous, forged)
    connection.execute(update(records).where(at).values(body=forged, hash=hashed))
    back = update(records).where(at).values(body=before.body, hash=before.hash)
    return place, lambda again: again.execute(back)


def insert_one(connection: Connection, place: int, last: int, rng: Rng) -> Done:
    """Insert a forged record with right hashes among the last thousand; the later ones move up."""
    place = last - int(rng.integers(1_000))

    def shift(again: Connection, start: int, by: int) -> None:
        for statement in (
            f"UPDATE weir_records SET sequence = -sequence WHERE sequence >= {start}",
            f"UPDATE weir_records SET sequence = {by} - sequence WHERE sequence < 0",
        ):
            again.execute(text(statement))

    before = connection.execute(
        select(records.c.hash).where(records.c.sequence == place - 1)
    ).scalar_one()
    body = record(last + 1, rng)
    shift(connection, place, 1)
    connection.execute(
        insert(records).values(
            sequence=place,
            previous=before,
            hash=link_hash(place, before, body),
            body=body,
            **keys_of(body)._asdict(),
        )
    )

    def undo(again: Connection) -> None:
        again.execute(delete(records).where(records.c.sequence == place))
        shift(again, place + 1, -1)

    return place, undo


LOCAL: tuple[Deed, ...] = (flip_byte, change_column, remove, replace)
"""What touches no other record than a few that follow."""
DEEDS: tuple[Deed, ...] = (*LOCAL, cut_off, swap, move, insert_one)


def fill(database: Database, signer: Signer, count: int, rng: Rng) -> dict[str, float]:
    """Append `count` records; their size and the rate."""
    appender = Appender(database, signer, anchor_every=_ANCHOR_EVERY, anchor_after_ms=3_600_000)
    spent, size = 0.0, 0
    for first in range(0, count, _BATCH):
        bodies = [record(number, rng) for number in range(first, min(first + _BATCH, count))]
        size += sum(map(len, bodies))
        start = perf_counter()
        appender.append(bodies)
        spent += perf_counter() - start
    appender.anchor(now=True)
    return {"record_bytes": round(size / count), "append_per_s": round(count / spent)}


def at_once(
    database: Database, trusted: Trusted, last: int, places: int, rng: Rng
) -> tuple[int, int, float]:
    """Do something to many places at once, and undo it; found, falsely found, seconds."""
    stride = last // places
    with database.writing() as connection:
        done = [
            LOCAL[int(rng.integers(len(LOCAL)))](
                connection, stride * place + int(rng.integers(1, stride - 8)), last, rng
            )
            for place in range(places)
        ]
    start = perf_counter()
    said = verify(database, trusted)
    seconds = perf_counter() - start
    named = {fault.sequence for fault in said.faults} | set(said.others)
    expected = {place for place, _ in done}
    with database.writing() as connection:
        for _, undo in done:
            undo(connection)
    return len(named & expected), len(named - expected), seconds


def one_by_one(
    database: Database, trusted: Trusted, last: int, trials: int, rng: Rng
) -> tuple[Counter[str], list[str]]:
    """Do one thing, see that its place is named, undo it; found by kind, and what was not."""
    found: Counter[str] = Counter()
    missed = []
    for trial in range(trials):
        deed = DEEDS[trial % len(DEEDS)]
        with database.writing() as connection:
            place, undo = deed(connection, int(rng.integers(1, last + 1)), last, rng)
        faults = verify(database, trusted).faults
        kind = getattr(deed, "__name__", "")
        if faults and (faults[0].part, faults[0].sequence) == ("records", place):
            found[kind] += 1
        else:
            missed.append(f"{kind} at {place}: {faults[0] if faults else 'whole'}")
        with database.writing() as connection:
            undo(connection)
        if sys.stderr.isatty():
            print(f"\r{trial + 1} of {trials} deeds", end="", file=sys.stderr, flush=True)
    return found, missed


def main() -> None:
    """Fill, verify, tamper."""
    args = arguments(
        __doc__ or "",
        url={"help": "an empty database; by default SQLite in a temporary folder"},
        seed={"type": int, "default": 1},
    )
    count, places, trials = (5_000, 100, 64) if args.quick else (100_000, 1_000, 24)
    rng = np.random.default_rng(args.seed)
    signer = Signer(Ed25519PrivateKey.generate())
    trusted = Trusted([signer.public])
    with (
        tempfile.TemporaryDirectory() as folder,
        StoreSettings(url=args.url).open_database(Path(folder)) as database,
    ):
        where = database.place.replace(folder, "…")
        details: dict[str, Any] = {"records": count, "database": where}
        details |= fill(database, signer, count, rng)
        start = perf_counter()
        whole = verify(database, trusted).whole
        details["verify_per_s"] = round(count / (perf_counter() - start))
        caught, false, seconds = at_once(database, trusted, count, places, rng)
        found, missed = one_by_one(database, trusted, count, trials, rng)
        whole = whole and verify(database, trusted).whole
    met = whole and caught == places and not false and not missed
    details |= {"at_once": places, "caught": caught, "falsely": false, "seconds": seconds}
    details |= {"one_by_one": dict(found), "missed": missed, "whole_before_and_after": whole}
    lines = [
        f"{count:,} records of {details['record_bytes']:,} bytes in {where}",
        f"  appended {details['append_per_s']:,} a second, verified {details['verify_per_s']:,}",
        f"  {places:,} places tampered with at once: {caught:,} found, {false} others, "
        f"in {seconds:.1f} s",
        *(f"  {name:<14} {number:3} times alone, each named" for name, number in found.items()),
        *(f"  MISSED {each}" for each in missed),
    ]
    share = (caught + sum(found.values())) / (places + trials)
    report(
        args,
        name="audit",
        figure=share,
        unit="of what was done, found",
        target=1.0,
        met=met,
        details=details,
        text="\n".join(lines),
    )


if __name__ == "__main__":
    main()
