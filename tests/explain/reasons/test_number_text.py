"""Numbers and texts as a language writes them."""

import math

import pytest

from explain.reasons.number_text import fill, locale_of, numbers_in, spoken


@pytest.mark.parametrize(
    ("value", "shown", "english", "german"),
    [
        (3.0, "number", "3", "3"),
        (-0.0, "number", "0", "0"),
        (1234567.0, "number", "1,234,567", "1.234.567"),
        (412.3, "number", "412.30", "412,30"),
        (1234.5678, "number", "1,234.57", "1.234,57"),
        (-2.346, "number", "-2.35", "-2,35"),
        (0.0012345, "number", "0.0012", "0,0012"),
        (1e-7, "number", "0.0000001", "0,0000001"),
        (
            -(2.0**90),
            "number",
            "-1,237,940,039,285,380,274,899,124,224",
            "-1.237.940.039.285.380.274.899.124.224",
        ),
        (math.inf, "number", "∞", "∞"),
        (math.nan, "number", "–", "–"),
        (0.25, "percent", "25%", "25\u00a0%"),
        (0.12345, "percent", "12.3%", "12,3\u00a0%"),
        (1e28, "percent", "1" + ",000" * 10 + "%", "1" + ".000" * 10 + "\u00a0%"),
        (1.0, "percent", "100%", "100\u00a0%"),
        (0.00045678, "percent", "0.046%", "0,046\u00a0%"),
        (-0.0, "percent", "0%", "0\u00a0%"),
        (math.nan, "percent", "–", "–"),
        (45.0, "duration", "45 seconds", "45 Sekunden"),
        (5400.0, "duration", "90 minutes", "90 Minuten"),
        (7200.0, "duration", "2 hours", "2 Stunden"),
        (259200.0, "duration", "3 days", "3 Tage"),
        (-172800.0, "duration", "-2 days", "-2 Tage"),
        (1e30, "duration", "2739726 years", "2739726 Jahre"),
        (-math.inf, "duration", "-∞", "-∞"),
    ],
)
def test_a_number_is_written_as_the_language_does(
    value: float, shown: str, english: str, german: str
) -> None:
    assert (spoken(value, shown, "en"), spoken(value, shown, "de")) == (english, german)


def test_a_region_has_its_own_way() -> None:
    assert spoken(1234.5, "number", "de-CH") == "1’234.50"


@pytest.mark.parametrize("language", ["tlh", "", "english", "e n"])
def test_what_is_no_language_is_said(language: str) -> None:
    with pytest.raises(ValueError, match="is no language"):
        locale_of(language)


def test_an_empty_word_takes_the_space_before_it_along() -> None:
    text = "It is {value} {unit}, typically {typical} {unit}."
    words = {"value": "3", "typical": "1"}
    assert fill(text, words | {"unit": "EUR"}) == "It is 3 EUR, typically 1 EUR."
    assert fill(text, words | {"unit": ""}) == "It is 3, typically 1."
    assert fill("{unit}: {{{value}}}", words | {"unit": ""}) == ": {3}"


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("none", set()),
        ("30 days", {30.0}),
        ("1.234,5 or 7.", {1.2345, 1234.5, 7.0}),
        ("1,000", {1.0, 1000.0}),
        ("over 1 000 000 EUR", {1e6}),
    ],
)
def test_numbers_are_found_however_they_are_written(text: str, numbers: set[float]) -> None:
    assert numbers <= numbers_in(text)
    assert bool(numbers) == bool(numbers_in(text))
