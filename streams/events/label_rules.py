"""Analysts' rules: what they take for fraud, or for legitimate, as long as no label has come."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import cached_property
from typing import Literal

from pydantic import Field, field_validator

from streams.base.section import Name, Section
from streams.events.conditions import Condition, parse_condition

MOST_RULES = 30
_KINDS = {"int": "number", "float": "number", "string": "text", "bool": "bool"}


class LabelRule(Section):
    """One of ``[[labels.rules]]``: it fires where all its conditions hold.

    Where it does not fire it says nothing. Where a value is missing that it would need to know, it
    abstains: nobody can tell whether it would have fired.

    Attributes:
        name: what people call it.
        when: conditions, see `streams.events.conditions`.
        says: what an event is for which it fires, as a rule.
    """

    name: Name
    when: tuple[str, ...] = Field(min_length=1)
    says: Literal["fraud", "legitimate"] = "fraud"

    @field_validator("when")
    @classmethod
    def _are_conditions(cls, when: tuple[str, ...]) -> tuple[str, ...]:
        for text in when:
            parse_condition(text)
        return when

    @cached_property
    def conditions(self) -> tuple[Condition, ...]:
        """The conditions, read."""
        return tuple(map(parse_condition, self.when))


def check_rules(rules: Sequence[LabelRule], types: Mapping[str, str]) -> None:
    """Refuse rules that have one name, or read what is not there, or is of another type.

    Args:
        types: of each column, as the event contract says it.

    Raises:
        ValueError: the message names the rule, the column and what to change.
    """
    names = [rule.name for rule in rules]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"labels.rules has two rules named {twice!r}: give each its own name")
    for rule in rules:
        for condition in rule.conditions:
            for name in condition.names():
                _check(rule.name, condition, name, types)


def _check(rule: str, condition: Condition, name: str, types: Mapping[str, str]) -> None:
    where = f"labels.rules, rule {rule!r}, {condition.text!r}:"
    if name not in types:
        near = get_close_matches(name, types, n=1)
        meant = f"did you mean {near[0]!r}?" if near else "correct the name, or add it there"
        raise ValueError(
            f"{where} {name!r} is neither a feature nor among feature_log.include: {meant}"
        )
    kind, wanted = _KINDS[types[name]], condition.kind()
    if kind != wanted:
        how = {"text": "a text in single quotes", "number": "a number", "bool": "true or false"}
        raise ValueError(f"{where} {name!r} is a {kind}: compare it with {how[kind]}")
