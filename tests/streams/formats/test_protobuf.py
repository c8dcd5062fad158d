"""What a Protobuf schema may say of the contract's fields, and what comes of it."""

import pytest
from framed_records import (
    GOOD,
    NOW,
    PROTO,
    OneSchema,
    decoder,
    frame,
    message_type,
    one_reason,
    payment,
)

from streams.events.rejection import Reason

INNER = bytes([4, 2, 0])  # two indexes, 1 and 0, as zigzag varints
PAYMENT = b"\x02\x02"  # one, 1


def decode(*values, text=PROTO):
    return decoder(OneSchema("PROTOBUF", text), "protobuf").decode(list(values))


def test_a_nested_message_with_an_enum():
    kind = message_type(PROTO, "Payment", "Inner")
    fields = {"id": 7, "time": NOW, "amount": 0.5}
    values = [frame(1, INNER + kind(**fields, card=card).SerializeToString()) for card in (1, 9)]
    decoded = decode(*values)
    assert decoded.events.keys == ["DEBIT"]
    assert one_reason(decoded) == (Reason.WRONG_TYPE, "card")  # 9 has no name


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"\x02", Reason.BAD_FRAME),
        (b"\x02\x63", Reason.BAD_FRAME),
        (b"\xff\xff\xff\xff\xff\xff", Reason.BAD_FRAME),
        (b"\x02\x01", Reason.BAD_FRAME),
        (b"\x7e" + b"\x02" * 63, Reason.BAD_FRAME),
        (b"\x82\x00" + PAYMENT[1:], Reason.BAD_FRAME),
        (PAYMENT + b"\x08", Reason.BAD_BODY),
        (PAYMENT + b"\x1a\x7fx", Reason.BAD_BODY),
        (b"\x00\x08\x01", Reason.MISSING_FIELD),
    ],
    ids=[
        "no index",
        "no such message",
        "endless",
        "negative",
        "deep",
        "long form",
        "cut off",
        "short",
        "other",
    ],
)
def test_bad_frames(body, reason):
    good = frame(1, PAYMENT + payment().SerializeToString())
    decoded = decode(good, frame(1, body), good)
    assert one_reason(decoded)[0] == reason
    assert decoded.positions.tolist() == [0, 2]


def test_what_is_not_set():
    """With presence it is missing; without, nothing tells it from its default."""
    text = """syntax = "proto3";
        message P { int64 id = 1; int64 time = 2; string card = 3; double amount = 4;
                    optional int64 count = 5; bool online = 6; }"""
    body = message_type(text, "P")(time=NOW).SerializeToString()
    events = decode(frame(1, b"\0" + body), text=text).events
    assert (events.ids, events.keys, events.values("amount")) == ([0], [""], [0.0])
    assert (events.values("count"), events.values("online")) == ([None], [False])


@pytest.mark.parametrize(
    ("amount", "value", "reason"),
    [
        ("string", "12,5", Reason.WRONG_TYPE),
        ("bytes", b"12", Reason.WRONG_TYPE),
        ("repeated double", [12.5], Reason.WRONG_TYPE),
        ("Other", {"x": 1}, Reason.WRONG_TYPE),
        ("optional double", None, Reason.MISSING_FIELD),
        ("double", float("nan"), Reason.NOT_A_NUMBER),
        ("float", float("inf"), Reason.INFINITE),
        ("sint64", 1001, Reason.OUT_OF_BOUNDS),
    ],
)
def test_the_contract_holds(amount, value, reason):
    text = f"""syntax = "proto3"; message Other {{ int64 x = 1; }}
        message P {{ int64 id = 1; int64 time = 2; string card = 3; {amount} amount = 4; }}"""
    fields = {name: GOOD[name] for name in ("id", "time", "card")} | {"amount": value}
    body = message_type(text, "P")(**fields).SerializeToString()
    assert one_reason(decode(frame(1, PAYMENT + body), text=text)) == (reason, "amount")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("message P { int64 id = 1 }", "does not compile: 1:"),
        ('syntax = "proto3"; import "not/there.proto"; message P {}', "not/there.proto"),
        ('syntax = "proto3"; enum E { A = 0; }', "without a message"),
        ('syntax = "proto3"; message P { Q q = 1; }', '"Q" is not defined'),
    ],
)
def test_a_schema_of_no_use(text, says):
    (bad,) = decode(frame(1, b"\0x"), text=text).rejected
    assert bad.reason == Reason.WRONG_SCHEMA
    assert says in bad.detail
