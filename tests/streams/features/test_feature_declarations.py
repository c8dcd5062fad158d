"""A declaration that cannot be computed is refused with the feature, the key and the fix."""

from typing import Any

import pytest
from window_model import CONTRACT, make_plan

from streams.features import FeaturePlan

WINDOW = {"kind": "window", "entity": "card", "aggregate": "sum", "field": "amount", "window": "1d"}
LABEL = {"kind": "label", "entity": "card", "aggregate": "rate", "window": "7d", "delay": "7d"}


def without(table: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in table.items() if name != key}


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (
            {**WINDOW, "entity": "cart"},
            r"'spent': entity = 'cart' .*card.* declare it there, or write one",
        ),
        ({**WINDOW, "field": "amuont"}, r"'spent': field = 'amuont' .*amount.*declare it there"),
        ({**WINDOW, "entity": "amount"}, r"'spent': entity = 'amount' is a float.*int or string"),
        ({**WINDOW, "field": "country"}, r"'spent': field = 'country' is a string.*distinct"),
        ({"kind": "field", "field": "country"}, r"'spent': field = 'country' is a string"),
        ({"kind": "field", "field": "colour"}, r"'spent': field = 'colour'"),
        (
            {**without(WINDOW, "aggregate"), "kind": "history_ratio", "field": "country"},
            r"'spent': field = 'country' is a string",
        ),
        (without(WINDOW, "field"), r"'spent'.*aggregate = 'sum' needs a field"),
        ({**WINDOW, "aggregate": "time_since"}, r"'spent'.*'time_since' takes no field"),
        ({**WINDOW, "aggregate": "last", "delay": "1d"}, r"'spent'.*'last' takes no delay"),
        ({**WINDOW, "window": "0s"}, r"'spent': window must be longer than 0"),
        ({**LABEL, "window": "0s"}, r"'spent': window must be longer than 0"),
        ({**WINDOW, "window": "1 month"}, r"'1 month' is no duration"),
        ({**WINDOW, "window": 7}, r"write the unit too"),
        ({**WINDOW, "aggregate": "median"}, r"'count', 'sum', 'mean'"),
        ({**WINDOW, "windw": "7d"}, r"windw"),
        (without(LABEL, "delay"), r"delay"),
        ({"kind": "calendar", "part": "hour", "timezone": "Paris"}, r"'Paris' is no time zone"),
        ({"kind": "calendar", "part": "night", "hours": [0, 24]}, r"0 to 23"),
        ({"kind": "calender"}, r"calendar"),
    ],
)
def test_a_mistake_is_named_with_its_fix(table: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        make_plan({"name": "spent", **table})


def test_two_features_of_one_name() -> None:
    with pytest.raises(ValueError, match=r"'spent' is declared twice.*rename"):
        make_plan({"name": "spent", **WINDOW}, {"name": "spent", **LABEL})


def test_no_features_at_all() -> None:
    with pytest.raises(ValueError, match=r"at least one \[\[features\]\]"):
        FeaturePlan([], CONTRACT)


def test_the_schema_hash_changes_with_the_meaning_only() -> None:
    plan = make_plan(WINDOW, LABEL)
    assert plan.schema_hash == make_plan(WINDOW, LABEL).schema_hash
    assert plan.schema_hash != make_plan(LABEL, WINDOW).schema_hash
    assert plan.schema_hash != make_plan({**WINDOW, "window": "2d"}, LABEL).schema_hash
    assert plan.schema_hash == make_plan({**WINDOW, "window": "24h"}, LABEL).schema_hash


def test_the_schema_hash_is_pinned() -> None:
    """Packages carry it: with another form of the schema, no package would load any more."""
    assert make_plan(WINDOW, LABEL).schema_hash == (
        "77b7c64518f16c12ee4370a838425ecaeb9e6389f098b3aab8eaf74fd8087c52"
    )
