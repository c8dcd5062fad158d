"""From an explanation to reasons in words."""

import math
from typing import Any

import numpy as np
import pytest
from catalogues import catalogue, entry, of_group, texts

from explain.errors import ExplainError
from explain.lime.explanation import Explanation
from explain.reasons.background_stats import background_stats_of
from explain.reasons.catalogue import Catalogue
from explain.reasons.reason_writer import ReasonWriter
from explain.record.reason_settings import ReasonSettings

NAMES = ("amount", "count", "rate", "ratio", "age")
BACKGROUND = np.array(
    [[10, 1, 0, 1, math.nan], [20, 2, 0, 1, math.nan], [30, 3, 0.1, math.nan, math.nan]],
    dtype=np.float32,
)
"""Typical: amount 20, count 2, rate 0, ratio 1, and no age."""
NORMAL = (20.0, 2.0, 0.0, 1.0, math.nan)


def writer(
    *entries: dict[str, Any],
    groups: dict[str, tuple[str, ...]] | None = None,
    settings: ReasonSettings | None = None,
    **more: Any,
) -> ReasonWriter:
    return ReasonWriter(
        Catalogue.model_validate(catalogue(*entries, **more)),
        groups or {name: (name,) for name in NAMES},
        names=NAMES,
        typical=background_stats_of(BACKGROUND),
        units={"amount": "EUR"},
        settings=settings or ReasonSettings(),
    )


def explanation(*attributions: float, confident: bool = True) -> Explanation:
    return Explanation(
        log_odds=2.0,
        baseline=-4.0,
        local=2.0,
        attributions=attributions,
        error=0.1,
        r2=0.9,
        ess=300.0,
        vsi=0.9,
        csi=1.0,
        confident=confident,
    )


def event(**values: float) -> np.ndarray:
    return np.array([values.get(n, v) for n, v in zip(NAMES, NORMAL, strict=True)], np.float32)


EACH = [entry(name, "any", code=name) for name in NAMES]


def codes(made: ReasonWriter, *attributions: float, **values: float) -> list[str]:
    return [reason.code for reason in made.reasons(explanation(*attributions), event(**values))]


def test_what_raises_the_risk_most_comes_first_and_what_lowers_it_not_at_all() -> None:
    assert codes(writer(*EACH), 1.0, 3.0, -9.0, 2.0, 0.0) == ["count", "ratio", "amount"]
    assert codes(writer(*EACH), 1.0, 1.0, 1.0) == ["amount", "count", "rate"]
    assert codes(writer(*EACH), 1.0, math.nan, 2.0) == ["rate", "amount"]


def test_there_are_four_reasons_at_most_or_fewer() -> None:
    five = (5.0, 4.0, 3.0, 2.0, 1.0)
    assert codes(writer(*EACH), *five) == ["amount", "count", "rate", "ratio"]
    assert codes(writer(*EACH, settings=ReasonSettings(at_most=2)), *five) == ["amount", "count"]


def test_a_small_share_of_the_rise_is_no_reason() -> None:
    made = writer(*EACH, settings=ReasonSettings(least_share=0.25))
    assert codes(made, 2.0, 1.0, 1.0, -50.0) == ["amount", "count", "rate"]
    assert codes(made, 2.1, 1.0, 0.9) == ["amount", "count"]
    assert codes(writer(*EACH, settings=ReasonSettings(least_share=0)), 9.0, 1e-9) == [
        "amount",
        "count",
    ]


def test_a_reason_says_value_typical_value_and_unit_in_each_language() -> None:
    high = entry(
        "amount",
        analyst={
            "en": "{value} {unit}, typically {typical} {unit}",
            "de": "{value} {unit}, sonst {typical} {unit}",
        },
    )
    [reason] = writer(high).reasons(explanation(1.5), event(amount=1234.5))
    assert reason.analyst == {
        "en": "1,234.50 EUR, typically 20 EUR",
        "de": "1.234,50 EUR, sonst 20 EUR",
    }
    assert reason.customer == {"en": "It is unusual.", "de": "It is unusual."}
    assert (reason.group, reason.feature, reason.direction) == ("amount", "amount", "high")
    assert (reason.value, reason.typical, reason.unit) == (1234.5, 20.0, "EUR")
    assert (reason.contribution, reason.adverse_action) == (1.5, True)
    german = writer(high, settings=ReasonSettings(languages=("de",)))
    [reason] = german.reasons(explanation(1.5), event(amount=30))
    assert reason.analyst == {"de": "30 EUR, sonst 20 EUR"}


def test_a_language_that_the_catalogue_lacks_is_named() -> None:
    with pytest.raises(ExplainError, match=r"reasons\.languages: .*'fr'"):
        writer(*EACH, settings=ReasonSettings(languages=("fr",)))


@pytest.mark.parametrize(
    ("amount", "code"),
    [(25.0, "up"), (15.0, "down"), (20.0, "none"), (5.0, "tiny"), (math.nan, "gone")],
)
def test_the_first_entry_that_fits_speaks(amount: float, code: str) -> None:
    made = writer(
        entry(direction="low", code="tiny", band={"at_least": 5, "below": 10}),
        entry(direction="high", code="up"),
        entry(direction="low", code="down"),
        entry(direction="missing", code="gone", analyst=texts("None.")),
    )
    assert codes(made, 1.0, amount=amount) == [code]


def test_any_is_also_the_typical_value_and_none() -> None:
    [reason] = writer(*EACH).reasons(explanation(1.0), event())
    assert (reason.direction, reason.value) == ("typical", 20.0)
    [reason] = writer(*EACH).reasons(explanation(1.0), event(amount=math.nan))
    assert (reason.direction, reason.value) == ("missing", None)
    assert reason.analyst["en"] == "It is –, typically 20."
    banded = entry(direction="any", code="b", band={"below": 100})
    assert codes(writer(banded), 1.0, amount=math.nan) == ["none"]


def test_a_value_where_none_is_typical_is_neither_high_nor_low() -> None:
    assert codes(writer(entry("age"), entry("age", "low")), 0, 0, 0, 0, 1.0, age=3.0) == ["none"]
    [reason] = writer(*EACH).reasons(explanation(0, 0, 0, 0, 1.0), event(age=3.0))
    assert (reason.code, reason.direction, reason.typical) == ("age", None, None)


def test_the_fallback_speaks_where_nothing_else_can() -> None:
    made = writer(*EACH)
    [unsure] = made.reasons(explanation(5.0, 4.0, confident=False), event(amount=99))
    assert (unsure.code, unsure.adverse_action) == ("none", False)
    assert (unsure.group, unsure.feature, unsure.contribution, unsure.value) == (None,) * 4
    assert (unsure.analyst["en"], unsure.customer["de"]) == ("Unsure.", "Unusual.")
    assert made.reasons(explanation(-1.0, 0.0), event()) == (unsure,)
    assert codes(writer(entry("age")), 3.0, 2.0) == ["none"]


def test_a_code_is_said_once_and_leaves_its_place_to_others() -> None:
    same = [entry(name, "any", code="same") for name in NAMES[:3]]
    made = writer(*same, entry("ratio", "any", code="other"), settings=ReasonSettings(at_most=2))
    [first, second] = made.reasons(explanation(1.0, 3.0, 2.0, 0.5), event(amount=50, count=9))
    assert (first.code, first.group, first.contribution) == ("same", "count", 3.0)
    assert (second.code, second.group) == ("other", "ratio")


GROUPS = {"money": ("amount", "ratio"), "use": ("count", "rate"), "age": ("age",)}


def test_the_feature_of_a_group_that_departs_most_speaks() -> None:
    made = writer(*EACH, groups=GROUPS)
    assert codes(made, 1.0, amount=21, ratio=9) == ["ratio"]
    assert codes(made, 1.0, amount=90, ratio=1) == ["amount"]
    assert codes(made, 1.0, amount=90, ratio=math.nan) == ["amount"]
    assert codes(made, 1.0) == ["amount"]
    assert codes(made, 0.0, 1.0, count=3, rate=0.5) == ["rate"]


def test_a_groups_own_entries_come_before_those_of_its_features() -> None:
    [reason] = writer(*EACH, of_group("money"), groups=GROUPS).reasons(
        explanation(1.0), event(amount=90)
    )
    assert (reason.code, reason.group, reason.feature) == ("group-money", "money", None)
    assert (reason.direction, reason.value, reason.contribution) == (None, None, 1.0)
    by = of_group("money", by="ratio", direction="high", analyst=texts("{value}, not {typical}."))
    made = writer(*EACH, by, groups=GROUPS)
    [reason] = made.reasons(explanation(1.0), event(amount=90, ratio=2.5))
    assert (reason.code, reason.feature, reason.value) == ("group-money", "ratio", 2.5)
    assert reason.analyst["en"] == "2.50, not 1."
    assert codes(made, 1.0, amount=90) == ["amount"]
    elsewhere = of_group("money", by="of_another_package")
    assert codes(writer(*EACH, elsewhere, groups=GROUPS), 1.0, amount=90) == ["amount"]


def test_the_typical_event_is_of_medians_and_spreads() -> None:
    typical = background_stats_of(BACKGROUND)
    assert np.array_equal(typical.values, [20, 2, 0, 1, math.nan], equal_nan=True)
    assert typical.spread == pytest.approx([20 / 3, 2 / 3, 0.1 / 3, 0, 0])
    assert typical.departure(0, 40) == pytest.approx(3)
    assert (typical.departure(3, 1), typical.departure(3, 2)) == (0, math.inf)
    assert (typical.departure(0, math.nan), typical.departure(4, 7)) == (0, 0)
