"""From an explanation to at most four reasons in words."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from explain.lime.explanation import Explanation
from explain.reasons.background_stats import BackgroundStats
from explain.reasons.catalogue import ANY, DIRECTIONS, MISSING, Catalogue, Entry, Wording
from explain.reasons.number_text import TYPICAL, UNIT, VALUE, fill, spoken
from explain.record.reason import Reason, Standing
from explain.record.reason_settings import ReasonSettings


@dataclass(frozen=True)
class _Found:
    """The entry that fits a group, and what it is about."""

    entry: Entry
    column: int | None
    standing: Standing | None


class ReasonWriter:
    """Says in words why the answers of one package are high.

    A group of features that raises the risk is a reason where an entry fits: first those of the
    group itself in the catalogue's order, then those of its features, the farthest from its
    typical value first. A code is said once, for the group that contributes most. Where there is
    no reason, or the explanation is not confident, the fallback is the only one.

    Args:
        catalogue: what is said.
        groups: the features of each group by its name, in the order of the attributions.
        names: of the package's columns.
        typical: their typical values.
        units: of the features that have one.
        settings: how many, and in which languages.

    Raises:
        ExplainError: the catalogue lacks a language of the settings.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        groups: Mapping[str, Sequence[str]],
        *,
        names: Sequence[str],
        typical: BackgroundStats,
        units: Mapping[str, str],
        settings: ReasonSettings,
    ) -> None:
        self._languages = catalogue.told_in(settings.languages)
        self._names, self._typical, self._units = tuple(names), typical, units
        self._settings = settings
        self._fallback = self._told(catalogue.fallback)
        self._groups = tuple(groups)
        self._place = {name: column for column, name in enumerate(names)}
        self._columns = [[self._place[feature] for feature in groups[name]] for name in groups]
        self._of_group = [[e for e in catalogue.entries if e.group == name] for name in groups]
        self._of_column = [[e for e in catalogue.entries if e.feature == name] for name in names]

    def reasons(self, explanation: Explanation, values: NDArray[np.float32]) -> tuple[Reason, ...]:
        """The reasons for one answer, those that contribute most first.

        Args:
            explanation: with one attribution for each group.
            values: float32 (k,), the event's features.
        """
        if not explanation.confident:
            return (self._fallback,)
        contributions = np.array(explanation.attributions)
        rise = contributions[contributions > 0].sum()
        found: dict[str, Reason] = {}
        for group in np.argsort(-contributions, kind="stable"):
            contribution = float(contributions[group])
            if not (contribution > 0 and contribution >= self._settings.least_share * rise):
                continue
            fitting = next(self._fitting(int(group), values), None)
            if fitting is not None and fitting.entry.code not in found:
                found[fitting.entry.code] = self._reason(
                    fitting, self._groups[group], contribution, values
                )
            if len(found) == self._settings.at_most:
                break
        return tuple(found.values()) or (self._fallback,)

    def _fitting(self, group: int, values: NDArray[np.float32]) -> Iterator[_Found]:
        for entry in self._of_group[group]:
            if entry.by is None:
                yield _Found(entry, None, None)
            elif entry.by in self._place:
                yield from self._if_it_fits(entry, self._place[entry.by], values)
        by_departure = sorted(
            self._columns[group],
            key=lambda column: -self._typical.departure(column, float(values[column])),
        )
        for column in by_departure:
            for entry in self._of_column[column]:
                yield from self._if_it_fits(entry, column, values)

    def _if_it_fits(
        self, entry: Entry, column: int, values: NDArray[np.float32]
    ) -> Iterator[_Found]:
        value = float(values[column])
        standing = _standing(value, float(self._typical.values[column]))
        low, high = entry.span
        within = entry.band is None if standing == MISSING else low <= value < high
        if within and (entry.direction == ANY or standing in DIRECTIONS[entry.direction]):
            yield _Found(entry, column, standing)

    def _reason(
        self, found: _Found, group: str, contribution: float, values: NDArray[np.float32]
    ) -> Reason:
        entry, column = found.entry, found.column
        if column is None:
            return self._told(entry, group=group, contribution=contribution)
        name = self._names[column]
        value, typical = float(values[column]), float(self._typical.values[column])
        unit = self._units.get(name, "")
        words = {
            language: {
                VALUE: spoken(value, entry.show, language),
                TYPICAL: spoken(typical, entry.show, language),
                UNIT: unit,
            }
            for language in self._languages
        }
        return self._told(
            entry,
            words,
            group=group,
            contribution=contribution,
            feature=name,
            direction=found.standing,
            value=None if math.isnan(value) else value,
            typical=None if math.isnan(typical) else typical,
            unit=unit or None,
        )

    def _told(
        self,
        wording: Wording,
        words: Mapping[str, Mapping[str, str]] | None = None,
        *,
        group: str | None = None,
        contribution: float | None = None,
        feature: str | None = None,
        direction: Standing | None = None,
        value: float | None = None,
        typical: float | None = None,
        unit: str | None = None,
    ) -> Reason:
        analyst, customer = (
            {
                language: fill(texts[language], (words or {}).get(language, {}))
                for language in self._languages
            }
            for texts in (wording.analyst, wording.customer)
        )
        return Reason(
            code=wording.code,
            group=group,
            feature=feature,
            direction=direction,
            value=value,
            typical=typical,
            unit=unit,
            contribution=contribution,
            analyst=analyst,
            customer=customer,
            adverse_action=wording.adverse_action,
        )


def _standing(value: float, typical: float) -> Standing | None:
    """None where nothing is typical, because the background has no value."""
    if math.isnan(value):
        return "missing"
    if math.isnan(typical):
        return None
    if value == typical:
        return "typical"
    return "high" if value > typical else "low"
