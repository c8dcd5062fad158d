"""A catalogue beside the features that it is for."""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from catalogues import catalogue, entry, of_group, texts
from pydantic import TypeAdapter

from explain.reasons.catalogue import Catalogue
from explain.reasons.catalogue_file import load_catalogue
from explain.reasons.coverage_check import check_catalogue
from explain.reasons.feature_range import FeatureRange, range_of
from streams.events.contract import EventContract
from streams.features import FeatureDeclaration, FeaturePlan
from weir.config.settings import EXAMPLE_FILE, load_settings
from weir.reasons import EXAMPLE_CATALOGUE, open_catalogue

CONTRACT = EventContract.model_validate(
    {
        "id": "id",
        "time": "time",
        "key": "card",
        "fields": {
            "id": {"type": "int"},
            "card": {"type": "string"},
            "amount": {"type": "float", "min": 0, "max": 100},
            "balance": {"type": "float", "required": False},
            "items": {"type": "int", "min": 1, "max": 9},
            "online": {"type": "bool"},
        },
    }
)
WINDOW = {"kind": "window", "entity": "card", "window": "1h"}
LATER = WINDOW | {"delay": "1d"}


def plan(**features: Mapping[str, Any]) -> FeaturePlan:
    tables = [{"name": name, **table} for name, table in features.items()]
    return FeaturePlan(TypeAdapter(list[FeatureDeclaration]).validate_python(tables), CONTRACT)


INF = math.inf


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ({"kind": "field", "field": "amount"}, FeatureRange(0, 100)),
        ({"kind": "field", "field": "balance"}, FeatureRange(-INF, INF, may_miss=True)),
        ({"kind": "field", "field": "items"}, FeatureRange(1, 9, whole=True)),
        ({"kind": "field", "field": "online"}, FeatureRange(0, 1, whole=True)),
        ({"kind": "calendar", "part": "hour"}, FeatureRange(0, 23, whole=True)),
        ({"kind": "calendar", "part": "night"}, FeatureRange(0, 1, whole=True)),
        (WINDOW | {"aggregate": "count"}, FeatureRange(1, INF, whole=True)),
        (LATER | {"aggregate": "count"}, FeatureRange(0, INF, whole=True)),
        (WINDOW | {"aggregate": "count", "field": "balance"}, FeatureRange(0, INF, whole=True)),
        (WINDOW | {"aggregate": "distinct", "field": "items"}, FeatureRange(1, INF, whole=True)),
        (WINDOW | {"aggregate": "sum", "field": "amount"}, FeatureRange(0, INF)),
        (LATER | {"aggregate": "sum", "field": "items"}, FeatureRange(0, INF, whole=True)),
        (WINDOW | {"aggregate": "mean", "field": "items"}, FeatureRange(1, 9)),
        (LATER | {"aggregate": "mean", "field": "items"}, FeatureRange(1, 9, may_miss=True)),
        (LATER | {"aggregate": "mean", "field": "items", "empty": -1}, FeatureRange(-1, 9)),
        (WINDOW | {"aggregate": "max", "field": "items"}, FeatureRange(1, 9, whole=True)),
        (WINDOW | {"aggregate": "last", "field": "items"}, FeatureRange(1, 9, True, True)),
        (WINDOW | {"aggregate": "std", "field": "amount"}, FeatureRange(0, INF, may_miss=True)),
        (WINDOW | {"aggregate": "time_since"}, FeatureRange(0, 3600, may_miss=True)),
        (
            {"kind": "history_ratio", "entity": "card", "window": "1h", "field": "amount"},
            FeatureRange(0, INF, may_miss=True),
        ),
        (
            {"kind": "label", "entity": "card", "window": "1h", "delay": "1d", "aggregate": "rate"},
            FeatureRange(0, 1),
        ),
        (
            {
                "kind": "label",
                "entity": "card",
                "window": "1h",
                "delay": "1d",
                "aggregate": "count",
                "empty": 0.5,
            },
            FeatureRange(0, INF),
        ),
    ],
)
def test_the_values_of_a_feature_follow_from_its_declaration(
    declared: dict[str, Any], expected: FeatureRange
) -> None:
    assert range_of(plan(f=declared).declarations[0], CONTRACT) == expected


AMOUNT = {"kind": "field", "field": "amount"}
BALANCE = {"kind": "field", "field": "balance"}
ITEMS = {"kind": "field", "field": "items"}
ONLINE = {"kind": "field", "field": "online"}


def found(
    features: FeaturePlan,
    *entries: dict[str, Any],
    groups: Mapping[str, tuple[str, ...]] | None = None,
    languages: tuple[str, ...] = (),
) -> list[tuple[str, str]]:
    """Kind and text of each problem."""
    values = Catalogue.model_validate(catalogue(*entries))
    problems = check_catalogue(values, features.declarations, CONTRACT, groups or {}, languages)
    return [(each.kind, str(each)) for each in problems]


def kinds(*args: Any, **more: Any) -> list[str]:
    return [kind for kind, _ in found(*args, **more)]


def test_every_direction_of_every_feature_wants_a_reason() -> None:
    one = plan(amount=AMOUNT)
    assert kinds(one, entry(), entry(direction="low")) == []
    assert kinds(one, entry(direction="any")) == []
    [(kind, text)] = found(one, entry())
    assert kind == "uncovered"
    assert "(amount, low)" in text
    assert "direction = 'low'" in text
    assert kinds(plan(amount=AMOUNT, items=ITEMS), entry(direction="any")) == ["uncovered"] * 2


def test_a_missing_value_wants_a_reason_where_there_may_be_one() -> None:
    one = plan(balance=BALANCE)
    high_and_low = [entry("balance"), entry("balance", "low")]
    missing = entry("balance", "missing", analyst=texts("There is none."))
    [(kind, text)] = found(one, *high_and_low)
    assert (kind, "(balance, missing)" in text) == ("uncovered", True)
    assert kinds(one, *high_and_low, missing) == []
    assert kinds(one, entry("balance", "any")) == []
    never = entry("amount", "missing", analyst=texts("There is none."))
    assert kinds(plan(amount=AMOUNT), entry(direction="any"), never) == ["unreachable"]


@pytest.mark.parametrize(
    ("bands", "gaps"),
    [
        ([{"below": 50}, {"at_least": 50}], []),
        ([{"at_least": 0}], []),
        ([{"at_least": 0, "below": 100.1}], []),
        ([{"at_least": 0, "below": 100}], ["high and at least 100:", "low and at least 100:"]),
        ([{"at_least": 5}], ["high and below 5:", "low and below 5:"]),
        (
            [{"below": 5}, {"at_least": 6}],
            ["high and from 5 to below 6:", "low and from 5 to below 6:"],
        ),
    ],
)
def test_a_gap_between_bands_is_found(bands: list[dict[str, float]], gaps: list[str]) -> None:
    entries = [entry(direction="any", band=band) for band in bands]
    said = [text for _, text in found(plan(amount=AMOUNT), *entries)]
    assert len(said) == len(gaps)
    assert all(gap in text for gap, text in zip(gaps, said, strict=True))


def test_between_whole_numbers_there_is_no_gap() -> None:
    def banded(**ends: float) -> dict[str, Any]:
        return entry("items", "any", band=ends)

    assert kinds(plan(items=ITEMS), banded(below=4.5), banded(at_least=4.9)) == []
    assert kinds(plan(items=ITEMS), banded(below=4.5), banded(at_least=5.1)) == ["uncovered"] * 2
    flag = [entry("online", "high", band={"at_least": 1}), entry("online", "low")]
    assert kinds(plan(online=ONLINE), *flag) == []


def test_a_band_without_values_is_unreachable() -> None:
    beyond = entry(band={"at_least": 100.5})
    [(kind, text)] = found(plan(amount=AMOUNT), beyond, entry(direction="any"))
    assert (kind, "from 0 to 100" in text) == ("unreachable", True)
    never = entry("online", "high", band={"below": 1}, code="never")
    assert kinds(plan(online=ONLINE), never, entry("online", "any")) == ["unreachable"]
    between = entry("items", band={"at_least": 2.1, "below": 2.9})
    assert kinds(plan(items=ITEMS), between, entry("items", "any")) == ["unreachable"]


def test_an_entry_for_what_is_not_there_is_found() -> None:
    one = plan(amount=AMOUNT)
    [(kind, text)] = found(one, entry("amuont"), entry(direction="any"))
    assert kind == "unknown"
    assert "no feature 'amuont': write 'amount', or remove it" in text
    [(kind, text)] = found(one, of_group("g"), entry(direction="any"))
    assert (kind, "[explain.groups]" in text) == ("unknown", True)
    [(kind, text)] = found(
        plan(amount=AMOUNT, items=ITEMS),
        entry("g"),
        of_group("g", code="h"),
        groups={"g": ("amount", "items")},
    )
    assert (kind, "write group = 'g'" in text) == ("unknown", True)


def test_a_group_answers_for_its_features() -> None:
    two, groups = plan(amount=AMOUNT, items=ITEMS), {"g": ("amount", "items")}
    assert kinds(two, of_group("g"), groups=groups) == []
    assert kinds(two, of_group("g", by="items"), groups=groups) == []
    assert (
        kinds(two, of_group("g", by="items", direction="high"), groups=groups) == ["uncovered"] * 4
    )
    assert kinds(two, of_group("g"), entry(direction="any"), groups=groups) == ["unreachable"]
    elsewhere = of_group("items", code="elsewhere")
    assert kinds(two, of_group("g"), elsewhere, groups=groups) == ["unknown"]
    other = {"g": ("amount",), "h": ("items",)}
    assert kinds(two, of_group("g", by="items"), of_group("h"), groups=other) == ["unknown"]


def test_a_group_of_a_feature_that_is_not_there_is_named() -> None:
    features = plan(amount=AMOUNT)
    typo = {"money": ("amount", "amuont")}
    (problem,) = found(features, entry(direction="any"), groups=typo)
    assert problem == (
        "unknown",
        "explain.groups.money of the settings: there is no feature 'amuont': write 'amount', or "
        "remove it",
    )


def test_a_feature_is_a_group_of_its_own() -> None:
    assert kinds(plan(amount=AMOUNT), of_group("amount")) == []
    assert kinds(plan(amount=AMOUNT), of_group("amount", by="amount")) == []


def test_the_customer_is_not_told_names_from_inside_the_model() -> None:
    features = plan(card_amount=AMOUNT)
    told = entry("card_amount", "any", customer=texts("Your card_amount is unusual."))
    [(kind, text), _] = found(features, told)
    assert kind == "reveals"
    assert text.startswith("entries.0 (card_amount, any, card_amount-any).customer.en: card_amount")
    capital = entry("card_amount", "any", customer=texts("Card_Amount is unusual."))
    assert kinds(features, capital) == ["reveals", "reveals"]
    assert kinds(plan(amount=AMOUNT), entry(direction="any", customer=texts("The amount."))) == []


def test_a_language_of_the_settings_must_be_there() -> None:
    one = plan(amount=AMOUNT)
    assert kinds(one, entry(direction="any"), languages=("de",)) == []
    [(kind, text)] = found(one, entry(direction="any"), languages=("de", "fr"))
    assert (kind, "'fr', only in en, de" in text) == ("language", True)


@pytest.mark.parametrize(
    "file", [EXAMPLE_FILE, Path(__file__).parents[3] / "examples" / "handbook" / "weir.toml"]
)
def test_the_catalogues_that_come_with_weir_have_a_reason_for_everything(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parents[3])
    settings = load_settings(file)
    shipped = open_catalogue(settings.reasons)
    assert check_catalogue(shipped, settings.features, settings.event, {}) == []
    assert set(shipped.languages) == {"en", "de"}
    assert not any(re.search(r"\d", text) for e in shipped.entries for text in e.customer.values())


def test_the_example_has_a_catalogue_without_a_word_in_the_settings() -> None:
    assert load_settings(EXAMPLE_FILE).reasons.file is None
    assert load_catalogue(EXAMPLE_CATALOGUE) == open_catalogue(load_settings(EXAMPLE_FILE).reasons)
