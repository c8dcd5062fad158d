"""The header, and records that are none: each has its reason, and no neighbour suffers."""

import json

import numpy as np
import pytest
from framed_records import GOOD, JSON_SCHEMA, PROTO, avro, decoder, frame, payment

from streams.events.rejection import Reason


def test_bad_frames(registry):
    good = avro(registry, GOOD)
    body = good[5:]
    number = registry.register("AVRO", '{"type": "array", "items": "long"}')
    cases = [
        (None, Reason.EMPTY),
        (b"", Reason.EMPTY),
        (b"\0\0\0", Reason.BAD_FRAME),
        (good[:5], Reason.BAD_FRAME),
        (b"\1" + good[1:], Reason.BAD_FRAME),
        (json.dumps(GOOD).encode(), Reason.BAD_FRAME),
        (good[:-3], Reason.BAD_BODY),
        (good + b"\0", Reason.BAD_BODY),
        (good + b"\0" * 10_000, Reason.TOO_LARGE),
        (frame(0, body), Reason.UNKNOWN_SCHEMA),
        (frame(2**31 - 1, body), Reason.UNKNOWN_SCHEMA),
        (frame(2**32 - 1, body), Reason.UNKNOWN_SCHEMA),
        (frame(registry.register("PROTOBUF", PROTO), body), Reason.WRONG_SCHEMA),
        (frame(number, body), Reason.WRONG_SCHEMA),
    ]
    values = [value for bad, _ in cases for value in (bad, good)]
    decoded = decoder(registry, "avro").decode(values)
    assert [bad.reason for bad in decoded.rejected] == [reason for _, reason in cases]
    assert [bad.position for bad in decoded.rejected] == list(range(0, len(values), 2))
    assert decoded.positions.tolist() == list(range(1, len(values), 2))
    assert all(len(bad.detail) < 250 for bad in decoded.rejected)


def test_a_json_body_that_is_none(registry):
    schema_id = registry.register("JSON", JSON_SCHEMA)
    values = [frame(schema_id, body) for body in (b"{", b"[1]", b'{"id":1,"time":NaN}', b"\xff")]
    decoded = decoder(registry, "json_schema").decode(values)
    assert [bad.reason for bad in decoded.rejected] == [
        *(Reason.NOT_JSON, Reason.NOT_AN_OBJECT, Reason.NOT_A_NUMBER, Reason.NOT_UTF8)
    ]


@pytest.mark.parametrize("format", ["avro", "protobuf", "json_schema"])
def test_noise_is_rejected_and_never_an_exception(registry, format):
    rng = np.random.default_rng(20261121)
    good = {
        "avro": lambda: avro(registry, GOOD),
        "protobuf": lambda: frame(
            registry.register("PROTOBUF", PROTO), b"\x02\x02" + payment().SerializeToString()
        ),
        "json_schema": lambda: frame(
            registry.register("JSON", JSON_SCHEMA), json.dumps(GOOD).encode()
        ),
    }[format]()
    values = []
    for _ in range(2_000):
        noisy = bytearray(good)
        for at in rng.integers(5, len(good), rng.integers(1, 6)):
            noisy[at] = rng.integers(256)
        values += [bytes(noisy[: rng.integers(1, len(noisy) + 1)]), good]
        values += [good[:5] + rng.bytes(rng.integers(0, 40))]
    for _ in range(50):  # each asks the registry for a schema of its own
        values += [b"\0" + rng.bytes(rng.integers(0, 20)), good, rng.bytes(8)]
    decoded = decoder(registry, format).decode(values)
    bad = {each.position for each in decoded.rejected}
    assert bad.isdisjoint(range(1, len(values), 3))
    assert len(bad) + len(decoded.events) == len(values)
    assert len(bad) > 2_000
    assert np.isfinite(decoded.events.numbers("amount")).all()
