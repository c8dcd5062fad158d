"""The table of the page: what a value is, whatever it came in."""

from decimal import Decimal
from typing import Any

import pytest

from streams.events.rejection import Reason
from streams.events.values import BadValueError, Written, boolean, integer, number, string

ID = 4873214862074861312


@pytest.mark.parametrize(
    ("read", "value", "expected"),
    [
        *(
            (integer, value, ID)
            for value in (ID, Decimal(ID), f"{ID}", f" {ID}.0", Decimal(f"{ID}.00"))
        ),
        *(
            (integer, value, 5)
            for value in (5, 5.0, "5.", "+5", "005", Written("5.0"), Decimal("5"))
        ),
        (integer, 2.0**53 - 1, 2**53 - 1),
        (integer, "-9223372036854775808", -(2**63)),
        (integer, "0" * 5_000 + "7", 7),
        (number, "-12.50", -12.5),
        (number, Decimal("0.1"), 0.1),
        (number, 2**53 + 1, 2.0**53),
        (number, "1e-7", 1e-7),
        (boolean, 1, True),
        (boolean, 0.0, False),
        (boolean, " TRUE", True),
        (boolean, "0", False),
        (string, " 00123", " 00123"),
    ],
)
def test_taken(read: Any, value: Any, expected: Any) -> None:
    got = read(value)
    assert (got, type(got)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("read", "value", "reason", "said"),
    [
        (integer, float(ID), Reason.NOT_EXACT, "is a double beyond 2^53"),
        (integer, -(2.0**53), Reason.NOT_EXACT, "write 64-bit integers, decimals or text"),
        (integer, "1.23E+18", Reason.NOT_EXACT, "'1.23E+18' may have lost digits"),
        (integer, Written("1e3"), Reason.NOT_EXACT, "write all its digits, as text"),
        (integer, 1.5, Reason.WRONG_TYPE, "must be an integer, not the number 1.5"),
        (integer, Decimal("1.5"), Reason.WRONG_TYPE, "not the number 1.5"),
        (integer, "1_0", Reason.WRONG_TYPE, "not the string '1_0'"),
        (integer, True, Reason.WRONG_TYPE, "not true"),
        (integer, 2**63, Reason.OUT_OF_BOUNDS, "does not fit in 64 bits: send it as text"),
        (integer, "9" * 5_000, Reason.OUT_OF_BOUNDS, "does not fit in 64 bits"),
        (integer, float("nan"), Reason.NOT_A_NUMBER, "is NaN"),
        (number, "1,5", Reason.WRONG_TYPE, "must be a number such as 12.5"),
        (number, "NaN", Reason.NOT_A_NUMBER, "is NaN"),
        (number, 10**400, Reason.INFINITE, "beyond float64"),
        (number, False, Reason.WRONG_TYPE, "must be a number, not false"),
        (boolean, 2, Reason.WRONG_TYPE, "must be true or false, not the number 2"),
        (boolean, "yes", Reason.WRONG_TYPE, "must be true or false, not the string 'yes'"),
        (string, 7, Reason.WRONG_TYPE, "must be a string, not the number 7"),
    ],
)
def test_refused(read: Any, value: Any, reason: Reason, said: str) -> None:
    with pytest.raises(BadValueError) as error:
        read(value)
    assert error.value.reason == reason
    assert said in error.value.said
    assert len(error.value.said) < 150
