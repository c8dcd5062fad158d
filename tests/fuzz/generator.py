"""A seeded stream of good events and of what a producer must never send."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.fuzz import contract

Body = dict[str, Any]
Headers = list[tuple[str, bytes | None]]

PARTITIONS = 4
FIRST_ID = 10_000_000
_STEP_MS = 20
_LABELS = 0.04
_GOOD = 0.2
_SPACES = (b"", b" ", b"\n\t \r\n", b"\x00", b"\x0b\x0c", b"\xef\xbb\xbf")
_TIMESTAMPS = (1, 1_000_000, 2**40, 2**53, 2**62, 2**63 - 300_001, 2**63 - 1)
_CATEGORIES = ("grocery_pos", "shopping_net", "Käse & Brot", "旅行", "travel 🚀", "")
_WRONG: tuple[Any, ...] = (
    None,
    True,
    False,
    [],
    {},
    [1],
    {"a": 1},
    "1",
    "",
    "x" * 41,
    1.5,
    -1.5,
    1e300,
    -1e300,
    2**63,
    -(2**63) - 1,
    2**64,
    10**30,
    -1,
    "NaN",
    "2018-01-01",
    [None],
    [[]],
)
_NUMBERS = (
    b"NaN",
    b"Infinity",
    b"-Infinity",
    b"1e400",
    b"-1e400",
    b"1e999999",
    b"1" * 500,
    b"-" + b"9" * 5_000,
    b"0x10",
    b"01",
    b"+1",
    b".5",
    b"1.",
    b"1e",
    b"--1",
    b"nan",
    b"inf",
    b"None",
    b"undefined",
    b"1_000",
    b"1e-400",
)


@dataclass(frozen=True, slots=True)
class Made:
    """One record to be sent.

    Attributes:
        on_labels: it goes to the labels topic.
        event_id: what the answer to it must be about; None if it must not be answered.
        rejected: it must become a dead letter.
    """

    kind: str
    on_labels: bool
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp: int
    event_id: int | None
    rejected: bool


class Generator:
    """Makes records; the same seed and clock make the same ones.

    Args:
        now_ms: Kafka timestamps of ordinary records; event times end shortly before.
    """

    def __init__(self, seed: int, now_ms: int) -> None:
        self._rng = np.random.default_rng([seed, 0xF022])
        self._now = now_ms
        self._count = 0
        makers = [(kind, share) for kind, (_, share) in EVENTS.items()]
        self._kinds = [kind for kind, _ in makers]
        self._shares = np.cumsum([share for _, share in makers])
        self._drawn: Iterator[int] = iter(())

    def one(self) -> Made:
        """The next record."""
        rng = self._rng
        if rng.random() < _LABELS:
            return self._label()
        body = self._body()
        key = b"%d" % body["customer_id"]
        partition = body["customer_id"] % PARTITIONS
        if rng.random() < _GOOD:
            return Made(
                "good",
                False,
                partition,
                key,
                _dump(body),
                [],
                self._now,
                body["transaction_id"],
                False,
            )
        kind = self._kind()
        value = EVENTS[kind][0](body, rng)
        headers, timestamp = [], self._now
        if kind == "strange headers":
            headers = _strange_headers(rng)
            key = _noise(rng, int(rng.integers(200)))
        elif kind == "absurd timestamp":
            timestamp = int(rng.choice(np.array(_TIMESTAMPS)))
        elif rng.random() < 0.02:
            key = None
        answered = contract.event_id(value, timestamp)
        return Made(
            kind, False, partition, key, value, headers, timestamp, answered, answered is None
        )

    def _kind(self) -> str:
        index = next(self._drawn, None)
        if index is None:
            draws = self._rng.random(10_000) * self._shares[-1]
            self._drawn = iter(np.searchsorted(self._shares, draws, "right").tolist())
            index = next(self._drawn)
        return self._kinds[index]

    def _body(self) -> Body:
        rng = self._rng
        self._count += 1
        return {
            "transaction_id": FIRST_ID + self._count,
            "time": self._now - 3_600_000 + min(self._count * _STEP_MS // 10, 3_500_000),
            "customer_id": int(rng.integers(5_000)),
            "terminal_id": int(rng.integers(500)),
            "merchant_category": _CATEGORIES[int(rng.integers(len(_CATEGORIES)))],
            "amount": float(rng.integers(1, 100_000)) / 100,
        }

    def _label(self) -> Made:
        rng = self._rng
        partition = int(rng.integers(PARTITIONS))
        if rng.random() < 0.3:
            return self._progress(partition)
        label = {
            "event_id": FIRST_ID + int(rng.integers(self._count + 1)),
            "label": int(rng.integers(2)),
            "time": self._now - 3_600_000,
        }
        kind, value = "good label", _dump(label)
        if rng.random() < 0.8:
            kind, value = "label garbage", _spoil_label(label, rng)
        valid = contract.label_is_valid(value, self._now)
        return Made(kind, True, partition, None, value, [], self._now, None, not valid)

    def _progress(self, partition: int) -> Made:
        """A record without a value: a mark of progress if its header holds up to 15 digits."""
        rng = self._rng
        good = (b"0", b"-1", b"999999999999999", b"-999999999999999", b"%d" % (self._now - 10**7))
        bad = (
            None,
            b"",
            b"abc",
            b"1" * 16,
            b"-",
            b"1.5",
            b" 1",
            b"1 ",
            b"\xff\xfe",
            b"1" * 5_000,
            "１２".encode(),
            b"0x1",
            b"1\n",
        )
        is_mark = rng.random() < 0.3
        text = (good if is_mark else bad)[int(rng.integers(len(good if is_mark else bad)))]
        headers: Headers = [("weir.progress", text)]
        return Made(
            "good progress" if is_mark else "progress garbage",
            True,
            partition,
            None,
            None,
            headers,
            self._now,
            None,
            not is_mark,
        )


def _dump(body: Any) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def _noise(rng: np.random.Generator, size: int) -> bytes:
    return rng.bytes(size)


def _pick(rng: np.random.Generator, options: Any) -> Any:
    return options[int(rng.integers(len(options)))]


def _random_bytes(body: Body, rng: np.random.Generator) -> bytes:
    return _noise(rng, int(rng.integers(1, 300)))


def _truncated(body: Body, rng: np.random.Generator) -> bytes:
    value = _dump(body)
    return value[: int(rng.integers(len(value)))]


def _mutated(body: Body, rng: np.random.Generator) -> bytes:
    """One to four bytes flipped, dropped, doubled or put in."""
    value = bytearray(_dump(body))
    for _ in range(int(rng.integers(1, 5))):
        at = int(rng.integers(len(value)))
        match int(rng.integers(5)):
            case 0:
                value[at] ^= 1 << int(rng.integers(8))
            case 1:
                del value[at]
            case 2:
                value.insert(at, int(rng.integers(256)))
            case 3:
                end = at + int(rng.integers(1, 30))
                value[at:at] = value[at:end]
            case _:
                value[at] = int(_pick(rng, b'"{}[],:\\0e-.'))
    return bytes(value)


def _wrong_type(body: Body, rng: np.random.Generator) -> bytes:
    return _dump(body | {_pick(rng, list(body)): _pick(rng, _WRONG)})


def _numbers(body: Body, rng: np.random.Generator) -> bytes:
    name = _pick(rng, list(body))
    rest = _dump({key: value for key, value in body.items() if key != name})
    return b"%s,%s:%s}" % (rest[:-1], json.dumps(name).encode(), _pick(rng, _NUMBERS))


def _fields(body: Body, rng: np.random.Generator) -> bytes:
    match int(rng.integers(5)):
        case 0:
            del body[_pick(rng, list(body))]
            return _dump(body)
        case 1:
            return _dump({key.upper(): value for key, value in body.items()})
        case 2:
            return _dump({"event": body})
        case 3:
            return _dump({f"field_{i}": i for i in range(int(rng.integers(500)))})
        case _:
            return _dump(_pick(rng, ([body], [], {}, 17, "text", None, True, [body, body], -0.0)))


def _duplicated(body: Body, rng: np.random.Generator) -> bytes:
    """A name that occurs twice: all its values must be valid, and the last one counts."""
    name = _pick(rng, list(body))
    other = body[name] if rng.random() < 0.3 else _pick(rng, _WRONG)
    first = json.dumps({name: other}, ensure_ascii=False).encode()
    return first[:-1] + b"," + _dump(body)[1:]


def _encoded(body: Body, rng: np.random.Generator) -> bytes:
    text = json.dumps(body | {"merchant_category": "Käse"}, ensure_ascii=False)
    match int(rng.integers(9)):
        case 0:
            return text.encode("utf-16")
        case 1:
            return text.encode("utf-16-be")
        case 2:
            return text.encode("utf-32-le")
        case 3:
            return text.encode("latin-1")
        case 4:
            return text.encode("utf-8-sig")
        case 5:
            return text.encode().replace(b"s", b"\xc1\xb3", 1)  # overlong
        case 6:
            return text.encode().replace("ä".encode(), b"\xed\xa0\x80")  # a surrogate
        case 7:
            return text.replace("ä", "\\ud800").encode()
        case _:
            return text.encode("cp037")  # EBCDIC


def _nested(body: Body, rng: np.random.Generator) -> bytes:
    depth = int(_pick(rng, (2_000, 5_000, 20_000, 100_000)))
    opening, closing = (b"[", b"]") if rng.random() < 0.5 else (b'{"a":', b"}")
    deep = opening * depth + b"1" + (closing * depth if rng.random() < 0.7 else b"")
    return deep if rng.random() < 0.5 else _dump(body)[:-1] + b',"extra":' + deep + b"}"


def _empty(body: Body, rng: np.random.Generator) -> bytes | None:
    return None if rng.random() < 0.5 else _pick(rng, _SPACES)


def _huge(body: Body, rng: np.random.Generator) -> bytes:
    size = int(rng.integers(1_000_000, 5_000_000))
    if rng.random() < 0.5:
        return _dump(body)[:-1] + b',"note":"' + b"x" * size + b'"}'
    return _noise(rng, size)


def _large(body: Body, rng: np.random.Generator) -> bytes:
    """Not yet too large, yet all of it broken."""
    return _dump(body)[:-1] + b',"note":"' + b"\\n" * int(rng.integers(1_000, 20_000))


def _anytime(body: Body, rng: np.random.Generator) -> bytes:
    """An event for itself; whether it comes from the future is up to the Kafka timestamp."""
    times = (body["time"], body["time"], contract.FIRST_MS, contract.LAST_MS, 0)
    return _dump(body | {"time": _pick(rng, times)})


def _strange_headers(rng: np.random.Generator) -> Headers:
    names = (
        "",
        "weir.reason",
        "weir.offset",
        "weir.requeued",
        "weir.history.1.at",
        "weir.history.x",
        f"weir.history.{'9' * 5_000}.x",
        "weir.progress",
        "weir.",
        "h" * 300,
        "naïve",
    )
    values = (None, b"", b"\xff\xfe", b"1", b"empty", b"9" * 2_000)
    return [(_pick(rng, names), _pick(rng, values)) for _ in range(int(rng.integers(1, 6)))]


def _spoil_label(label: Body, rng: np.random.Generator) -> bytes | None:
    makers = (
        _random_bytes,
        _truncated,
        _mutated,
        _wrong_type,
        _numbers,
        _fields,
        _duplicated,
        _empty,
        _nested,
    )
    weights = np.array([4, 4, 6, 6, 4, 3, 3, 2, 0.01])
    return makers[int(rng.choice(len(makers), p=weights / weights.sum()))](dict(label), rng)


EVENTS: dict[str, tuple[Callable[[Body, np.random.Generator], bytes | None], float]] = {
    "random bytes": (_random_bytes, 20),
    "truncated": (_truncated, 14),
    "mutated": (_mutated, 20),
    "wrong type": (_wrong_type, 12),
    "numbers": (_numbers, 8),
    "wrong fields": (_fields, 6),
    "duplicate keys": (_duplicated, 5),
    "wrong encoding": (_encoded, 6),
    "empty": (_empty, 4),
    "strange headers": (_mutated, 3),
    "absurd timestamp": (_anytime, 1.5),
    "deep nesting": (_nested, 0.1),
    "large": (_large, 0.1),
    "huge": (_huge, 0.003),
}
"""How each kind is made, and how often, in percent or so."""
