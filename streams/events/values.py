"""What one value of a record is as an int, float, bool or string field, whatever it came in.

These are the rules: what reads whole columns or batches at once must agree with them to the bit.
docs/events.md shows them as a table.
"""

import math
import re
from decimal import Decimal
from typing import Any, NoReturn

from streams.events.rejection import Reason

EXCERPT = 32
"""Characters of a record's content that a detail may show."""

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1

EXACT = 2**53
"""From here on several integers share one double, so a double no longer says which is meant."""
EXACT_SINGLE = 2**24
"""The same of a ``float32``."""

_DIGITS = re.compile(r"([+-]?)0*(\d+)(?:\.0*)?", re.ASCII)
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_NOT_FINITE = re.compile(r"[+-]?(?:nan|inf|infinity)", re.IGNORECASE | re.ASCII)
_BOOLEANS = {"true": True, "false": False}


class BadValueError(Exception):
    """A value is none of the wanted kind.

    Attributes:
        reason: why.
        said: what is wrong with it, as the rest of a sentence that begins with the field's name.
    """

    def __init__(self, reason: Reason, said: str) -> None:
        super().__init__(said)
        self.reason = reason
        self.said = said


class Pairs(list[tuple[str, Any]]):
    """A JSON object with every occurrence of a repeated key: each must be valid."""


class Written(float):
    """A number with a fraction or an exponent, and how it was written."""

    text: str

    def __new__(cls, text: str) -> "Written":
        """Read a number of JSON."""
        number = super().__new__(cls, text)
        number.text = text
        return number


class Single(float):
    """A number that was a ``float32`` where it came from."""


def integer(value: Any, wanted: str = "an integer") -> int:
    """Return a whole number exactly, within 64 bits.

    A double is taken if it is whole and below 2**53, a `Single` below 2**24; text and decimals in
    any size, if all their digits are there.

    Raises:
        BadValueError: it is no integer, not exact, or beyond 64 bits.
    """
    match value:
        case bool():
            _refuse(wanted, value)
        case int():
            whole = value
        case Written():
            whole = _integer_of_text(value.text, wanted, value)
        case float():
            whole = _integer_of_double(value, wanted)
        case Decimal() if value.is_finite() and value == value.to_integral_value():
            whole = int(value)
        case str():
            whole = _integer_of_text(value.strip(), wanted, value)
        case _:
            _refuse(wanted, value)
    if not INT64_MIN <= whole <= INT64_MAX:
        raise BadValueError(
            Reason.OUT_OF_BOUNDS,
            f"= {shown(value)} does not fit in 64 bits: send it as text, and declare a string",
        )
    return whole


def number(value: Any) -> float:
    """Return the double nearest to a number.

    Raises:
        BadValueError: it is no number, NaN, infinite or beyond a double.
    """
    match value:
        case bool():
            _refuse("a number", value)
        case float():
            double = float(value)
        case int() | Decimal():
            try:
                double = float(value)
            except OverflowError:
                double = math.inf
        case str():
            text = value.strip()
            if _NUMBER.fullmatch(text) is None and _NOT_FINITE.fullmatch(text) is None:
                _refuse("a number such as 12.5", value)
            # An integer's zero has no sign, as in JSON.
            double = 0.0 if text.lstrip("-0") == "" else float(text)
        case _:
            _refuse("a number", value)
    check_finite(double)
    return double


def boolean(value: Any) -> bool:
    """Return true or false; 1 and 0 stand for them, and text of either.

    Raises:
        BadValueError: it is neither.
    """
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        word = _BOOLEANS.get(value.strip().lower())
        if word is not None:
            return word
    try:
        bit = number(value)
    except BadValueError as error:
        if error.reason != Reason.WRONG_TYPE:
            raise
        bit = -1.0
    if bit not in (0.0, 1.0):
        _refuse("true or false", value)
    return bit == 1.0


def string(value: Any) -> str:
    """Return a string, as it stands.

    Raises:
        BadValueError: it is none.
    """
    if not isinstance(value, str):
        _refuse("a string", value)
    return value


def check_finite(value: float) -> None:
    """Raise `BadValueError` for what is no number, or too large for a double."""
    if math.isnan(value):
        raise BadValueError(Reason.NOT_A_NUMBER, "is NaN: leave out a missing value")
    if math.isinf(value):
        raise BadValueError(Reason.INFINITE, "is infinite or beyond float64")


def is_written_number(text: str) -> bool:
    """Whether text is a number by its form."""
    return _NUMBER.fullmatch(text.strip()) is not None


def _integer_of_text(text: str, wanted: str, value: Any) -> int:
    match = _DIGITS.fullmatch(text)
    if match is not None:
        sign, digits = match.groups()
        # Longer ones are beyond 64 bits anyway, and Python refuses to read more than 4,300.
        return int(sign + digits[:20])
    if _NOT_FINITE.fullmatch(text) is None and _NUMBER.fullmatch(text) is None:
        _refuse(wanted, value)
    check_finite(float(text))
    if "e" not in text.lower():
        _refuse(wanted, value)
    raise BadValueError(
        Reason.NOT_EXACT,
        f"= {excerpt(text)} may have lost digits to the exponent: "
        "write all its digits, as text (Excel keeps 15)",
    )


def _integer_of_double(value: float, wanted: str) -> int:
    check_finite(value)
    if not value.is_integer():
        _refuse(wanted, value)
    kind, power, limit = (
        ("float32", 24, EXACT_SINGLE) if isinstance(value, Single) else ("double", 53, EXACT)
    )
    if abs(value) >= limit:
        raise BadValueError(
            Reason.NOT_EXACT,
            f"= {shown(value)} is a {kind} beyond 2^{power}, which has lost digits: "
            "write 64-bit integers, decimals or text",
        )
    return int(value)


def _refuse(wanted: str, value: Any) -> NoReturn:
    raise BadValueError(Reason.WRONG_TYPE, f"must be {wanted}, not {describe(value)}")


def describe(value: Any) -> str:
    """Return how a human would call a value, with a short excerpt of a plain one."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return f"the string {excerpt(value)}"
        case int() | float() | Decimal():
            return f"the number {shown(value)}"
        case bytes():
            return f"{len(value):,} bytes"
        case Pairs() | dict():
            return "an object"
        case _:
            return "an array"


def shown(value: int | float | Decimal | str) -> str:
    """The beginning of a number."""
    text = repr(float(value)) if isinstance(value, float) else f"{value}"
    return text if len(text) <= EXCERPT else f"{text[:EXCERPT]}…"


def excerpt(text: str) -> str:
    """The beginning of a text, quoted."""
    return repr(text) if len(text) <= EXCERPT else f"{text[:EXCERPT]!r}…"
