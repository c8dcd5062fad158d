"""What a package's feature definitions say of each feature: unit, window, entity."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from streams.base.section import format_duration

_OF_THE_FIELD = ("sum", "mean", "min", "max", "std", "last")


@dataclass(frozen=True)
class FeatureFacts:
    """How a feature's value is to be read.

    Attributes:
        unit: of the value; None for a count, a rate, a ratio or a part of the calendar.
        window: how long its window is, such as ``7d``; None where it has none.
        delay: how long before the event the window ends; None where it ends with the event.
        entity: the field whose events are in the window, or None.
    """

    unit: str | None = None
    window: str | None = None
    delay: str | None = None
    entity: str | None = None


def facts_of(definitions: Mapping[str, Any]) -> dict[str, FeatureFacts]:
    """Return the facts of each feature by its name.

    Args:
        definitions: of a package (`FeatureColumns.definitions`), which are those of
            `FeaturePlan.schema`.
    """
    units = {name: field["unit"] for name, field in definitions["fields"].items()}
    return {each["name"]: _facts(each, units) for each in definitions["features"]}


def units_of(definitions: Mapping[str, Any]) -> dict[str, str]:
    """Return the unit of each feature that has one."""
    return {name: facts.unit for name, facts in facts_of(definitions).items() if facts.unit}


def _facts(feature: Mapping[str, Any], units: Mapping[str, str]) -> FeatureFacts:
    unit = None
    if feature["kind"] == "field" or feature.get("aggregate") in _OF_THE_FIELD:
        unit = units[feature["field"]] or None
    elif feature.get("aggregate") == "time_since":
        unit = "s"
    window, delay = feature.get("window"), feature.get("delay")
    return FeatureFacts(
        unit,
        format_duration(window) if window else None,
        format_duration(delay) if delay else None,
        feature.get("entity"),
    )
