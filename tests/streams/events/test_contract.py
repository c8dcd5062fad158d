import re
import tomllib
from pathlib import Path

import pytest
from pydantic import ValidationError

from streams.events.contract import EventContract, Field
from streams.events.rejection import Reason

PAGE = (Path(__file__).parents[3] / "docs" / "events.md").read_text()


def contract(**changes):
    settings = {
        "id": "transaction",
        "time": "time",
        "key": "card",
        "fields": {
            "transaction": {"type": "int"},
            "card": {"type": "string"},
            "note": {"type": "string", "required": False},
            "amount": {"type": "float"},
        },
    }
    return EventContract.model_validate(settings | changes)


def test_defaults():
    event = contract()
    assert event.time_format == "ms"
    assert event.min_time == 946_684_800_000
    assert event.max_future == 300_000
    assert event.max_bytes == 1_000_000
    assert event.fields["amount"].required


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": "nr"}, "id = 'nr' is not among event.fields (transaction, card, note, amount)"),
        ({"key": "amount"}, "key field 'amount' must be a required int or string, it is a"),
        ({"key": "note"}, "it is an optional string"),
        ({"time": "amount"}, "remove it from event.fields"),
        ({"time": ""}, "a field's name is empty"),
        ({"fields": {}}, "at least 1 item"),
        ({"max_bytes": 0}, "greater than or equal to 1"),
        ({"max_future": 5}, "write the unit too"),
        ({"min_time": 0}, "write a date or a time in quotes, such as '2000-01-01'"),
        ({"min_time": "1.1.2000"}, "'1.1.2000' is no date or time: write it like '2000-01-01'"),
        ({"time_format": "ns"}, "'s', 'ms', 'us' or 'iso'"),
        ({"tme": "x"}, "Extra inputs are not permitted"),
    ],
)
def test_a_wrong_contract_says_what_to_do(changes, message):
    with pytest.raises(ValidationError) as error:
        contract(**changes)
    assert message in str(error.value)


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\nb"])
def test_a_name_that_json_must_escape_is_refused(name):
    fields = contract().model_dump()["fields"] | {name: {"type": "int"}}
    with pytest.raises(ValidationError, match="rename the field at the producer"):
        contract(fields=fields)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"type": "decimal"}, "'int', 'float', 'bool' or 'string'"),
        ({"type": "string", "min": 1}, "min is for int and float fields, this is a string"),
        ({"type": "bool", "max": 1}, "max is for int and float fields, this is a bool"),
        ({"type": "float", "min": "nan"}, "leave min out for none"),
        ({"type": "float", "max": "inf"}, "leave max out for none"),
        ({"type": "float", "min": 2, "max": 1}, "min = 2 is above max = 1: swap them"),
        ({"type": "int", "min": 0.2, "max": 0.8}, "no 64-bit integer lies between"),
        ({"type": "int", "min": 1e30}, "no 64-bit integer lies between"),
        ({"type": "float", "max_length": 3}, "max_length is for string fields"),
        ({"type": "string", "max_length": 0}, "greater than or equal to 1"),
    ],
)
def test_a_wrong_field_says_what_to_do(settings, message):
    with pytest.raises(ValidationError) as error:
        Field.model_validate(settings)
    assert message in str(error.value)


def test_int_bounds_are_the_integers_within():
    assert Field(type="int").int_bounds == (-(2**63), 2**63 - 1)
    assert Field(type="int", min=0.5, max=9.5).int_bounds == (1, 9)
    assert Field(type="int", min=-1e30, max=1e30).int_bounds == (-(2**63), 2**63 - 1)
    assert Field(type="int", max=2**53 + 1).int_bounds[1] == 2**53 + 1


def test_the_least_time_is_a_date_or_a_time():
    moment = 1_583_020_800_000
    for text in ("2020-03-01", "2020-03-01T00:00:00Z", tomllib.loads("a = 2020-03-01")["a"]):
        assert contract(min_time=text).min_time == moment


def test_the_example_of_the_page_is_a_contract():
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE, flags=re.DOTALL)
    event = EventContract.model_validate(tomllib.loads(example)["event"])
    assert event.fields["merchant.mcc"].type == "int"
    assert event == event.model_copy(update={"max_future": 300_000, "max_bytes": 1_000_000})


def test_the_page_explains_every_reason_and_no_other():
    rows = re.findall(r"^\| `(\w+)` \|", PAGE.split("## What is rejected")[1], flags=re.MULTILINE)
    assert rows == list(Reason)
