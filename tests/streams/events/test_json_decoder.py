import json
import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from streams.events.contract import EventContract
from streams.events.json_decoder import Decoder
from streams.events.json_diagnosis import second_look
from streams.events.rejection import Finding, Reason

NOW = 1_700_000_000_000

CONTRACT = EventContract.model_validate(
    {
        "id": "id",
        "time": "time",
        "key": "card",
        "max_bytes": 2_000_000,
        "fields": {
            "id": {"type": "int"},
            "card": {"type": "string", "max_length": 8},
            "amount": {"type": "float", "min": 0, "max": 1000},
            "count": {"type": "int", "required": False, "min": 1, "max": 9.5},
            "online": {"type": "bool", "required": False},
            "rate": {"type": "float", "required": False},
        },
    }
)
GOOD = {"id": 1, "time": NOW, "card": "c1", "amount": 12.5, "count": 3, "online": True, "rate": 0.5}


def record(drop=(), **changes):
    event = {name: value for name, value in (GOOD | changes).items() if name not in drop}
    return json.dumps(event).encode()


def raw(name, text):
    """The good record, with the text of one value put in as it is."""
    return record(**{name: "@"}).replace(b'"@"', text.encode())


def decode(values, contract=CONTRACT):
    return Decoder(contract, lambda: NOW).decode(values)


def with_time(time_format):
    return CONTRACT.model_copy(update={"time_format": time_format})


def test_columns():
    decoded = decode([record(), record(drop=["online", "rate"], id=2, count=None, amount=7)])
    events = decoded.events
    assert len(events) == 2
    assert events.ids == [1, 2]
    assert events.keys == ["c1", "c1"]
    assert events.times.tolist() == [NOW, NOW]
    assert events.values("online") == [True, None]
    np.testing.assert_array_equal(events.numbers("amount"), [12.5, 7.0])
    np.testing.assert_array_equal(events.numbers("count"), [3, math.nan])
    np.testing.assert_array_equal(events.numbers("online"), [1, math.nan])
    np.testing.assert_array_equal(events.numbers("rate"), [0.5, math.nan])
    assert type(events.values("amount")[1]) is float
    assert decoded.positions.tolist() == [0, 1]
    assert decoded.rejected == []


def test_take_reorders_every_column():
    events = decode([record(id=i, time=NOW - i, amount=i) for i in range(4)]).events
    events.numbers("amount")
    taken = events.take(np.array([3, 0, 3]))
    assert taken.ids == [3, 0, 3]
    assert taken.times.tolist() == [NOW - 3, NOW, NOW - 3]
    assert taken.numbers("amount").tolist() == [3, 0, 3]


def test_a_column_that_cannot_be_read_is_a_clear_error():
    events = decode([record()]).events
    with pytest.raises(KeyError, match=r"'amonut' is not among event\.fields"):
        events.values("amonut")
    with pytest.raises(TypeError, match="'card' is a string"):
        events.numbers("card")


def test_an_empty_batch():
    decoded = decode([])
    assert len(decoded.events) == 0
    assert decoded.events.numbers("amount").shape == (0,)
    assert decoded.positions.shape == (0,)


def test_names_that_are_no_python_identifiers():
    names = ["transaction id", "class", "__init__", "é.x-1", "f0", "time", "_", "1"]
    contract = EventContract.model_validate(
        {
            "id": "transaction id",
            "time": "event-time",
            "key": "class",
            "fields": {name: {"type": "int"} for name in names},
        }
    )
    event = {name: index for index, name in enumerate(names)} | {"event-time": NOW}
    escaped = json.dumps(event).encode()
    plain = json.dumps(event, ensure_ascii=False).encode()
    events = decode([escaped, plain], contract).events
    for index, name in enumerate(names):
        assert events.values(name) == [index, index]
    assert events.times.tolist() == [NOW, NOW]
    assert events.keys == [1, 1]


@pytest.mark.parametrize(
    ("time_format", "time"),
    [
        ("s", "1699999999"),
        ("ms", "1699999999000"),
        ("us", "1699999999000999"),
        ("iso", '"2023-11-14T22:13:19Z"'),
        ("iso", '"2023-11-14T22:13:19.000"'),
        ("iso", '"2023-11-15 00:13:19+02:00"'),
    ],
)
def test_every_time_format(time_format, time):
    decoded = decode([raw("time", time)], with_time(time_format))
    assert decoded.rejected == []
    assert decoded.events.times.tolist() == [1_699_999_999_000]


def test_allowed_ahead_of_the_clock_to_the_millisecond():
    decoded = decode([record(time=NOW + 300_000), record(time=NOW + 300_001)])
    assert decoded.positions.tolist() == [0]
    assert [bad.reason for bad in decoded.rejected] == [Reason.FROM_THE_FUTURE]


ACCEPTED = {
    "an integer in a float field": raw("amount", "12"),
    "a large integer in a float field": raw("rate", "1" + "0" * 30),
    "the upper bounds themselves": record(amount=1000, count=9),
    "the lower bounds themselves": record(amount=0, count=1),
    "unknown fields": record(extra={"a": [1, {"b": None}]}),
    "a string as long as allowed": record(card="ä€😀12345"),
    "white space around": b" \r\n\t" + record() + b"\n",
    "the last of a repeated key": b'{"id":7,' + record()[1:],
    "the extremes of int64": record(id=2**63 - 1),
    "a number too small for a float": raw("rate", "1e-999"),
    "the least time": record(time=946_684_800_000),
    "12.0 for an int": raw("id", "9007199254740993.0"),
    "text for an int": record(id="-4873214862074861312"),
    "text for a float": record(amount=" 12.50"),
    "1 for a bool": record(online=1),
    "text for a bool": record(online="False"),
    "text for a time": record(time=str(NOW)),
    "ISO text for a time": record(time="2023-11-14"),
}


@pytest.mark.parametrize("value", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_accepted(value):
    decoded = decode([value])
    assert decoded.rejected == []
    found = second_look(CONTRACT, value, NOW)
    assert found == {"time": decoded.events.times[0]} | {
        name: decoded.events.values(name)[0] for name in CONTRACT.fields
    }


def test_rejected_in_the_order_of_the_batch():
    future = record(time=2 * NOW)
    rejected = decode([future, b"", record(), future, b"["]).rejected
    assert [bad.position for bad in rejected] == [0, 1, 3, 4]


@pytest.mark.parametrize("stamp", [2**63 - 1, 2**62, 0, -(2**63)])
def test_a_kafka_timestamp_may_be_any_int64(stamp):
    """`make fuzz` found that one near the end of int64 ended the process."""
    decoded = Decoder(CONTRACT).decode([record()], np.array([stamp], np.int64))
    assert len(decoded.events) == (stamp > 0)
    assert [bad.reason for bad in decoded.rejected] == [Reason.FROM_THE_FUTURE] * (stamp <= 0)


NEST = "[" * 100_000
REJECTED = [
    ("a tombstone", None, Reason.EMPTY, None, "no value (a tombstone)"),
    ("an empty value", b"", Reason.EMPTY, None, "value is empty"),
    ("only white space", b" \n", Reason.EMPTY, None, "value is empty"),
    ("too large", b"{" * 10_000_000, Reason.TOO_LARGE, None, "10,000,000 bytes"),
    ("bad UTF-8", record(card="@").replace(b"@", b"\xff"), Reason.NOT_UTF8, None, "is 0xff"),
    ("cut off", record()[:-1], Reason.NOT_JSON, None, "at character"),
    ("two records", record() + b"," + record(), Reason.NOT_JSON, None, "Extra data"),
    ("a byte order mark", b"\xef\xbb\xbf" + record(), Reason.NOT_JSON, None, "character 0"),
    ("lone surrogate", raw("card", '"\\ud800"'), Reason.NOT_JSON, None, "no JSON"),
    ("raw control character", raw("card", '"\x01"'), Reason.NOT_JSON, None, "control character"),
    ("an array", b"[1]", Reason.NOT_AN_OBJECT, None, "an array"),
    ("a number", b"5", Reason.NOT_AN_OBJECT, None, "the number 5"),
    ("null", b"null", Reason.NOT_AN_OBJECT, None, "null"),
    ("deep", raw("extra", NEST + "]" * 100_000), Reason.TOO_DEEP, None, "too deeply"),
    ("deep and open", NEST.encode(), Reason.TOO_DEEP, None, "too deeply"),
    ("no amount", record(drop=["amount"]), Reason.MISSING_FIELD, "amount", "'amount' is missing"),
    ("no time", record(drop=["time"]), Reason.MISSING_FIELD, "time", "'time' is missing"),
    ("an empty object", b"{}", Reason.MISSING_FIELD, "time", "'time' is missing"),
    ("null amount", record(amount=None), Reason.NULL_FIELD, "amount", "'amount' is null"),
    ("null time", record(time=None), Reason.NULL_FIELD, "time", "'time' is null"),
    ("text for a float", record(amount="1,2"), Reason.WRONG_TYPE, "amount", "not the string '1,2'"),
    ("bool for a float", record(amount=True), Reason.WRONG_TYPE, "amount", "not true"),
    ("bool for an int", record(id=False), Reason.WRONG_TYPE, "id", "not false"),
    ("bool for a time", record(time=True), Reason.WRONG_TYPE, "time", "not true"),
    ("1.5 for an int", raw("id", "1.5"), Reason.WRONG_TYPE, "id", "not the number 1.5"),
    ("1e3 for an int", raw("count", "1e3"), Reason.NOT_EXACT, "count", "'1e3' may have lost"),
    ("an object for text", record(card={}), Reason.WRONG_TYPE, "card", "not an object"),
    ("2 for a bool", record(online=2), Reason.WRONG_TYPE, "online", "not the number 2"),
    ("text for a time", record(time="now"), Reason.BAD_TIME, "time", "no ISO-8601 time"),
    ("1.5 for a time", record(time=1.5), Reason.WRONG_TYPE, "time", "event.time_format = 'ms'"),
    ("seconds", record(time=NOW // 1000), Reason.BEFORE_MIN_TIME, "time", "it is likely in s, and"),
    ("hours", record(time=720), Reason.BEFORE_MIN_TIME, "time", "needs that start added"),
    ("a bad first of two", b'{"id":"x",' + record()[1:], Reason.WRONG_TYPE, "id", "'x'"),
    ("NaN", raw("amount", "NaN"), Reason.NOT_A_NUMBER, "amount", "is NaN"),
    ("NaN for an int", raw("id", "NaN"), Reason.NOT_A_NUMBER, "id", "is NaN"),
    ("NaN unknown", raw("extra", '[{"b":NaN}]'), Reason.NOT_A_NUMBER, "extra", "is NaN"),
    ("Infinity", raw("amount", "Infinity"), Reason.INFINITE, "amount", "infinite"),
    ("-Infinity", raw("rate", "-Infinity"), Reason.INFINITE, "rate", "infinite"),
    ("1e999", raw("rate", "1e999"), Reason.INFINITE, "rate", "beyond float64"),
    ("400 digits", raw("rate", "9" * 400), Reason.INFINITE, "rate", "beyond float64"),
    ("5000 digits", raw("rate", "-" + "9" * 5000), Reason.INFINITE, "rate", "beyond float64"),
    ("below", record(amount=-0.01), Reason.OUT_OF_BOUNDS, "amount", "-0.01 is below min = 0"),
    ("above", record(amount=1000.5), Reason.OUT_OF_BOUNDS, "amount", "above max = 1000"),
    ("int below", record(count=0), Reason.OUT_OF_BOUNDS, "count", "0 is below min = 1"),
    ("int above", record(count=10), Reason.OUT_OF_BOUNDS, "count", "10 is above max = 9.5"),
    ("beyond int64", record(id=2**63), Reason.OUT_OF_BOUNDS, "id", "does not fit in 64 bits"),
    ("huge int", raw("id", "9" * 5000), Reason.OUT_OF_BOUNDS, "id", "does not fit in 64 bits"),
    ("too long", record(card="123456789"), Reason.TOO_LONG, "card", "9 characters; max_length = 8"),
    ("year 10000", record(time=253_402_300_800_000), Reason.BAD_TIME, "time", "years 1 to 9999"),
    ("huge time", raw("time", "-" + "9" * 500), Reason.BAD_TIME, "time", "years 1 to 9999"),
    ("future", record(time=NOW + 360_000), Reason.FROM_THE_FUTURE, "time", "0:06:00 ahead"),
]


@pytest.mark.parametrize(
    ("value", "reason", "field", "detail"),
    [case[1:] for case in REJECTED],
    ids=[case[0] for case in REJECTED],
)
def test_rejected(value, reason, field, detail):
    decoded = decode([record(), value, record(id=2)])
    assert decoded.events.ids == [1, 2]
    assert decoded.positions.tolist() == [0, 2]
    (bad,) = decoded.rejected
    assert (bad.position, bad.reason, bad.field) == (1, reason, field)
    assert detail in bad.detail
    assert len(bad.detail) < 200
    assert field is None or repr(field) in bad.detail


def test_every_reason_is_tested():
    assert {case[2] for case in REJECTED} == set(Reason) - {
        Reason.FAILED,
        *(Reason.BAD_FRAME, Reason.UNKNOWN_SCHEMA, Reason.WRONG_SCHEMA, Reason.BAD_BODY),
        *(Reason.BREAKS_SCHEMA, Reason.BAD_BATCH),
    }


@pytest.mark.parametrize(
    ("time", "reason"),
    [
        ('"2023-02-30T00:00:00Z"', Reason.BAD_TIME),
        ('"yesterday"', Reason.BAD_TIME),
        ('"20231114"', Reason.BAD_TIME),
        ('"1999-12-31T23:59:59.999Z"', Reason.BEFORE_MIN_TIME),
        ("1700000000000", Reason.WRONG_TYPE),
        ('"2023-11-15T00:00:00-12:00"', Reason.FROM_THE_FUTURE),
    ],
)
def test_rejected_iso_time(time, reason):
    (bad,) = decode([raw("time", time)], with_time("iso")).rejected
    assert (bad.reason, bad.field) == (reason, "time")


def test_a_detail_shows_only_a_short_excerpt_that_any_encoding_can_hold():
    secret = "4000001234567890" * 100
    for value in (
        raw("amount", json.dumps(secret)),
        raw("amount", '"\\ud800' + secret + '"'),
        raw("amount", "[" + secret),
        raw("id", secret),
        raw("time", secret),
        raw("\\ud800" + secret, "NaN"),
    ):
        (bad,) = decode([value]).rejected
        assert secret[:64] not in bad.detail
        assert len(bad.detail) < 200
        (bad.detail + (bad.field or "")).encode()


def test_a_reason_does_not_depend_on_the_other_records():
    values = [case[1] for case in REJECTED]
    together = [(bad.reason, bad.field, bad.detail) for bad in decode(values).rejected]
    apart = [
        (bad.reason, bad.field, bad.detail) for value in values for bad in decode([value]).rejected
    ]
    assert together == apart


def test_broken_records_cannot_merge_into_a_good_one():
    halves = [b'{"id":1,"time":1700000000000,"card":"x","amount":1,"a":[{"b":1}', b'{"c":2}]}']
    twice = record() + b"," + record()
    decoded = decode([*halves, twice])
    assert len(decoded.events) == 0
    assert [bad.position for bad in decoded.rejected] == [0, 1, 2]


scalars = st.sampled_from(
    [
        *("null", "true", "0", "1", "-1", "1.0", "5.5", "1e999", "NaN", "-Infinity", "[]", "{}"),
        *('"x"', '"0123456789"', '"\\ud800"', '"\t"', "01", str(2**63), str(NOW), str(2 * NOW)),
    ]
)
objects = st.builds(
    lambda pairs, end: ("{" + ",".join(f'"{n}":{v}' for n, v in pairs) + end).encode(),
    st.lists(st.tuples(st.sampled_from([*GOOD, "extra"]), scalars), max_size=9),
    st.sampled_from(["}", "}", "]", "", "},", "}\n"]),
)
edited = st.builds(
    lambda name, text: raw(name, text), st.sampled_from([*GOOD, "extra"]), scalars
)  # mostly good records
fragments = st.sampled_from(
    [
        *(None, b"", b",", b'{"a":[1', b"2]}", b"[", b"]", b'{"a":"', b'"}', b"//", b"1", b"\n"),
        *(record(), record() + b"," + record(), b"[" + record(), record() + b"]"),
    ]
)
values = st.lists(st.one_of(edited, objects, fragments, st.binary(max_size=12)), max_size=12)


@settings(deadline=None)
@given(values)
@example([b'{"a":[{"b":1}', b'{"c":2}]}', record() + b"," + record()])
def test_a_batch_is_its_records_one_by_one(batch):
    decoded = decode(batch)
    alone = [decode([value]) for value in batch]
    good = [index for index, one in enumerate(alone) if len(one.events)]
    assert decoded.positions.tolist() == good
    assert [bad.position for bad in decoded.rejected] == [
        index for index in range(len(batch)) if index not in good
    ]
    for name in CONTRACT.fields:
        assert decoded.events.values(name) == [alone[i].events.values(name)[0] for i in good]
    assert decoded.events.times.tolist() == [alone[i].events.times[0] for i in good]
    for bad in decoded.rejected:
        (one,) = alone[bad.position].rejected
        assert (bad.reason, bad.field, bad.detail) == (one.reason, one.field, one.detail)


@settings(deadline=None)
@given(st.one_of(edited, objects))
def test_good_records_are_what_python_reads_and_bad_ones_have_a_cause(value):
    decoded = decode([value])
    found = second_look(CONTRACT, value, NOW)
    if decoded.rejected:
        # A lone surrogate is all that the two parsers see differently.
        assert isinstance(found, Finding) or b"\\ud800" in value
        return
    assert found["time"] == decoded.events.times.tolist()[0]
    for name in CONTRACT.fields:
        assert decoded.events.values(name) == [found[name]]
        if CONTRACT.fields[name].type != "string":
            assert not np.isinf(decoded.events.numbers(name)).any()
