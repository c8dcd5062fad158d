"""Records that are no events or no labels, each with the reason that docs/events.md promises."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.chaos.configuration import MAX_BYTES, MAX_CARD

Body = dict[str, Any]
Maker = Callable[[Body], bytes | None]
Spoiled = tuple[str, bytes | None]


def _dump(body: Body, **changes: Any) -> bytes:
    return json.dumps(body | changes).encode()


def _without(body: Body, name: str) -> bytes:
    return json.dumps({key: value for key, value in body.items() if key != name}).encode()


def _replace(body: Body, old: bytes, new: bytes) -> bytes:
    return _dump(body).replace(old, new, 1)


EVENTS: list[tuple[str, Maker]] = [
    ("empty", lambda body: None),
    ("empty", lambda body: b""),
    ("empty", lambda body: b" \n"),
    ("too_large", lambda body: _dump(body, note="x" * MAX_BYTES)),
    ("not_utf8", lambda body: _replace(body, b'"c', b'"\xc3(')),
    ("not_utf8", lambda body: b"\xff\xfe" + _dump(body)),
    ("not_json", lambda body: _dump(body)[:-5]),
    ("not_json", lambda body: _dump(body) + b"}"),
    ("not_json", lambda body: b"hello"),
    ("not_json", lambda body: _dump(body, device="\ud800")),
    ("not_an_object", lambda body: b"[" + _dump(body) + b"]"),
    ("not_an_object", lambda body: b"17"),
    ("too_deep", lambda body: b'{"a":' * 2_500 + b"1" + b"}" * 2_500),
    ("missing_field", lambda body: _without(body, "amount")),
    ("missing_field", lambda body: _without(body, "at")),
    ("null_field", lambda body: _dump(body, card=None)),
    ("wrong_type", lambda body: _dump(body, amount="12,50")),
    ("wrong_type", lambda body: _dump(body, id=1.5)),
    ("wrong_type", lambda body: _dump(body, device=7)),
    ("not_a_number", lambda body: _dump(body, amount=float("nan"))),
    ("infinite", lambda body: _dump(body, amount=float("inf"))),
    ("infinite", lambda body: _replace(body, b'"amount": ', b'"amount": 1e999, "was": ')),
    ("out_of_bounds", lambda body: _dump(body, amount=-1.0)),
    ("out_of_bounds", lambda body: _dump(body, id=2**70)),
    ("too_long", lambda body: _dump(body, card="c" * (MAX_CARD + 1))),
    ("bad_time", lambda body: _dump(body, at=10**17)),
    ("bad_time", lambda body: _dump(body, at="01.01.2018")),
    ("before_min_time", lambda body: _dump(body, at=1_514_764_800)),
    ("from_the_future", lambda body: _dump(body, at=4_102_444_800_000)),
]

LABELS: list[tuple[str, Maker]] = [
    ("empty", lambda body: None),
    ("not_json", lambda body: b"\x00\x01garbage"),
    ("not_utf8", lambda body: b"\x80" * 40),
    ("missing_field", lambda body: _without(body, "label")),
    ("wrong_type", lambda body: _dump(body, label=True)),
    ("wrong_type", lambda body: _dump(body, event_id="abc")),
    ("out_of_bounds", lambda body: _dump(body, label=2)),
    ("bad_time", lambda body: _dump(body, time=-(10**17))),
    ("not_an_object", lambda body: b"[]"),
]


def event(body: Body, rng: np.random.Generator) -> Spoiled:
    """``(reason, value)`` of a record that was to be the event `body`."""
    return _spoil(EVENTS, body, rng)


def label(body: Body, rng: np.random.Generator) -> Spoiled:
    """``(reason, value)`` of a record that was to be the label `body`."""
    return _spoil(LABELS, body, rng)


def _spoil(makers: list[tuple[str, Maker]], body: Body, rng: np.random.Generator) -> Spoiled:
    reason, make = makers[int(rng.integers(len(makers)))]
    return reason, make(body)
