"""Texts with placeholders, and numbers as a language writes them."""

import decimal
import math
import re
from collections.abc import Mapping
from datetime import timedelta
from functools import cache, lru_cache
from string import Formatter

from babel import Locale, UnknownLocaleError
from babel.dates import format_timedelta
from babel.numbers import format_decimal, format_percent

from explain.reasons.catalogue import Shown

VALUE, TYPICAL, UNIT = "value", "typical", "unit"
PLACEHOLDERS = (VALUE, TYPICAL, UNIT)

UNKNOWN = "–"
"""Stands for a number that is missing."""

_SIGNIFICANT = 2
_PERCENT_DECIMALS = 3
_DAY_S = 86_400
_TWO_UNITS = 2.0
"""A duration goes over to a larger unit from two of them on: 90 minutes, then 2 hours."""

_EXACT = decimal.Context(prec=400)
"""Digits enough for every float; with Python's own 28, numbers from 1e26 on can't be written."""

_NUMBER = re.compile(r"\d(?:[\d.,'’\u00a0\u202f]*\d)?")
_SPACED = re.compile(r"\d{1,3}(?: \d{3})+(?!\d)")


def placeholders(text: str) -> set[str]:
    """The names in braces of a text.

    Raises:
        ValueError: a brace stands alone, or a name is none of `PLACEHOLDERS`.
    """
    found = set()
    for _, name, format_spec, conversion in Formatter().parse(text):
        if name is None:
            continue
        if name not in PLACEHOLDERS or format_spec or conversion:
            known = ", ".join("{" + known + "}" for known in PLACEHOLDERS)
            raise ValueError(f"{{{name}}} is no placeholder: write one of {known}")
        found.add(name)
    return found


def fill(text: str, words: Mapping[str, str]) -> str:
    """Put words in place of a text's placeholders; an empty one takes the space before it along."""
    for name, word in words.items():
        if not word:
            text = text.replace(f" {{{name}}}", "")
    return text.format_map(words)


@lru_cache(maxsize=4096)
def spoken(value: float, shown: Shown, language: str) -> str:
    """A number as a language writes it: ``1,234.50``, ``25 %``, ``3 Stunden``.

    Whole numbers have no decimals, others two, and those below one two digits that count; a
    percentage has one decimal, or two digits that count. A duration is in seconds, and said in one
    unit.
    """
    if math.isnan(value):
        return UNKNOWN
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    value += 0.0  # so that -0.0 is 0.0, which the cache takes it for
    locale = locale_of(language)
    match shown:
        case "percent":
            share = _rounded(value, _PERCENT_DECIMALS)
            with decimal.localcontext(_EXACT):
                return str(format_percent(share, locale=locale, decimal_quantization=False))
        case "duration":
            return ("-" if value < 0 else "") + _duration(abs(value), locale)
        case _:
            return _decimal(value, locale)


def _duration(seconds: float, locale: Locale) -> str:
    duration = timedelta(days=min(seconds / _DAY_S, timedelta.max.days))
    return str(format_timedelta(duration, threshold=_TWO_UNITS, locale=locale))


def _decimal(value: float, locale: Locale) -> str:
    if value == round(value):
        return decimal_text(round(value), None, locale)
    if abs(value) >= 1:
        return decimal_text(value, "#,##0.00", locale)
    return decimal_text(_rounded(value, 0), None, locale)


def decimal_text(value: float, form: str | None, locale: Locale) -> str:
    """A finite number, however large, by a pattern of Unicode's or the language's own."""
    with decimal.localcontext(_EXACT):
        return str(
            format_decimal(value, format=form, locale=locale, decimal_quantization=form is not None)
        )


def _rounded(value: float, decimals: int) -> float:
    """Rounded to so many decimals, or more where fewer than two digits that count would be left."""
    if value == 0:
        return value
    leading = math.floor(math.log10(abs(value)))
    return round(value, max(decimals, _SIGNIFICANT - 1 - leading))


def numbers_in(text: str) -> set[float]:
    """All numbers that the digits of a text may mean, with ``,`` or ``.`` before the decimals."""
    found = {float(match.replace(" ", "")) for match in _SPACED.findall(text)}
    for match in _NUMBER.findall(text):
        for point in ".,":
            plain = re.sub(rf"[^\d{re.escape(point)}]", "", match).replace(point, ".")
            try:
                found.add(float(plain))
            except ValueError:  # several points: they separate thousands
                continue
    return found


@cache
def locale_of(language: str) -> Locale:
    """The rules of a language, such as ``en``, ``de`` or ``de-CH``.

    Raises:
        ValueError: there is no such language.
    """
    try:
        return Locale.parse(language, sep="-")
    except (UnknownLocaleError, ValueError) as error:
        raise ValueError(
            f"{language!r} is no language that numbers can be written in: write a code such as "
            "'en', 'de' or 'de-CH'"
        ) from error
