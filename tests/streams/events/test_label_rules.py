"""Analysts' rules: what a condition may say, and what the message says where it may not."""

import pytest
from pydantic import ValidationError

from streams.events.conditions import Other, parse_condition
from streams.events.label_rules import LabelRule, check_rules

TYPES = {"amount": "float", "count": "float", "country": "string", "known": "bool"}


@pytest.mark.parametrize(
    ("text", "sign", "right"),
    [
        ("amount > 200", ">", 200.0),
        ("amount<=-2.5e3", "<=", -2500.0),
        ("amount > 3 * mean_30d", ">", Other("mean_30d", 3.0)),
        ("amount >= mean_30d", ">=", Other("mean_30d", 1.0)),
        ("header:app-version == 'a, b'", "=", "a, b"),
        ("country  not  in ('DE', 'a, b')", "not in", ("DE", "a, b")),
        ("count in (1, 2_000)", "in", (1.0, 2000.0)),
        ("known != true", "!=", True),
        ("index > 1", ">", 1.0),
    ],
)
def test_conditions_are_read(text: str, sign: str, right: object) -> None:
    found = parse_condition(text)
    assert (found.sign, found.right, found.text) == (sign, right, text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("__import__('os')", "is no condition"),
        ("amount", "is no condition"),
        ("amount > ", "neither a number"),
        ("amount > 1 + 1", "neither a number"),
        ("amount > 1_", "neither a number"),
        ("country > 'DE'", "only numbers are above or below"),
        ("country in ('DE', 1)", "either numbers or texts"),
        ("country in ()", "a list such as"),
        ("country in 'DE'", "a list such as"),
        ("country in ('DE' 'FR')", "a list such as"),
    ],
)
def test_what_is_no_condition_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_condition(text)
    with pytest.raises(ValidationError, match=message):
        LabelRule(name="rule", when=(text,))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("amont > 2", "rule 'rule', 'amont > 2': 'amont' is neither .* did you mean 'amount'"),
        ("amount > 2 * xyzzy", "'xyzzy' is neither a feature nor among feature_log.include"),
        ("country > 2", "'country' is a text: compare it with a text in single quotes"),
        ("amount = 'DE'", "'amount' is a number: compare it with a number"),
        ("known = 1", "'known' is a bool: compare it with true or false"),
    ],
)
def test_columns_must_be_there_and_of_their_type(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_rules([LabelRule(name="rule", when=(text,))], TYPES)


def test_names_are_given_once() -> None:
    rule = LabelRule(name="rule", when=("amount > 2", "country = 'DE'", "known = true"))
    check_rules([rule], TYPES)
    with pytest.raises(ValueError, match="two rules named 'rule'"):
        check_rules([rule, rule], TYPES)
