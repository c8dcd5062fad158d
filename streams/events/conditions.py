"""Conditions in plain words, such as ``amount > 3 * customer_amount_mean_30d``.

    NAME  > >= < <= = !=  NUMBER | 'text' | true | false | NAME | NUMBER * NAME
    NAME  in | not in     (NUMBER or 'text', ...)

There is nothing else, and nothing is executed.
"""

import re
from typing import NamedTuple

Value = float | str | bool

_NAME = r"[A-Za-z_][\w.:\-]*"
_NUMBER = r"[+-]?(?:\d+(?:_\d+)*(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?"
_WHOLE = re.compile(rf"\s*({_NAME})\s*(>=|<=|!=|==|=|>|<|\bnot\s+in\b|\bin\b)\s*(.*?)\s*")
_OTHER = re.compile(rf"(?:({_NUMBER})\s*\*\s*)?({_NAME})")
_ITEM = re.compile(rf"\s*('[^']*'|{_NUMBER})\s*(?:,|$)")
_ORDERS = (">", ">=", "<", "<=")


class Other(NamedTuple):
    """Another column, times a number."""

    name: str
    times: float


class Condition(NamedTuple):
    """What one column has to be.

    Attributes:
        text: as it was written.
        name: of the column.
        sign: ``>``, ``>=``, ``<``, ``<=``, ``=``, ``!=``, ``in`` or ``not in``.
        right: a value, values after ``in``, or another column.
    """

    text: str
    name: str
    sign: str
    right: Value | tuple[Value, ...] | Other

    def names(self) -> list[str]:
        """The columns that it reads."""
        return [self.name, *([self.right.name] if isinstance(self.right, Other) else [])]

    def kind(self) -> str:
        """What the columns must hold: ``number``, ``text`` or ``bool``."""
        one = self.right[0] if type(self.right) is tuple else self.right
        if isinstance(one, str):
            return "text"
        return "bool" if isinstance(one, bool) else "number"


def parse_condition(text: str) -> Condition:
    """Read a condition.

    Raises:
        ValueError: it is none; the message says what one looks like.

    >>> parse_condition("amount > 3 * mean_30d").right
    Other(name='mean_30d', times=3.0)
    """
    whole = _WHOLE.fullmatch(text)
    if whole is None:
        raise ValueError(
            f'{text!r} is no condition: write one such as "amount > 200", '
            "\"amount > 3 * mean_amount\" or \"country in ('DE', 'FR')\""
        )
    name, sign, right = whole.groups()
    sign = "=" if sign == "==" else " ".join(sign.split())
    if sign in ("in", "not in"):
        return Condition(text, name, sign, _items(text, right))
    found: Value | Other | None = _value(right)
    if found is None:
        other = _OTHER.fullmatch(right)
        if other is None:
            raise ValueError(
                f"{text!r}: {right!r} is neither a number, a text in single quotes, true or "
                "false, nor a column with or without a factor, such as 3 * mean_amount"
            )
        found = Other(other[2], float(other[1] or 1))
    if sign in _ORDERS and isinstance(found, (str, bool)):
        raise ValueError(f"{text!r}: only numbers are above or below each other: use = or !=")
    return Condition(text, name, sign, found)


def _items(text: str, right: str) -> tuple[Value, ...]:
    inner, items = right[1:-1], []
    bracketed = right.startswith("(") and right.endswith(")")
    while bracketed and inner.strip():
        item = _ITEM.match(inner)
        if item is None:
            break
        value = _value(item[1])
        assert value is not None
        items.append(value)
        inner = inner[item.end() :]
    if not items or inner.strip():
        raise ValueError(f"{text!r}: after in comes a list such as ('DE', 'FR') or (1, 2)")
    if len({type(each) for each in items}) > 1:
        raise ValueError(f"{text!r}: a list holds either numbers or texts")
    return tuple(items)


def _value(text: str) -> Value | None:
    if len(text) > 1 and text[0] == text[-1] == "'" and "'" not in text[1:-1]:
        return text[1:-1]
    if text in ("true", "false"):
        return text == "true"
    return float(text) if re.fullmatch(_NUMBER, text) else None
