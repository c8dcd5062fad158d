"""What windows remember: a mean over 30 days knows of a day in cents for a month.

Once what such a feature is made of is whole again, its data are not broken any more: it only
remembers, until its window has passed.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from monitoring.counting.memory import Memory
from monitoring.episodes.episode import MovedFeature

_PATIENCE = 2
"""Times its window: whatever is away for longer does not only remember."""


def with_memory(
    features: Sequence[MovedFeature], known: Mapping[str, Memory], now: int
) -> list[MovedFeature]:
    """Features, of which those that are broken say since when they only remember.

    Of one field, the features that look back least tell when it is whole again.

    Args:
        now: event time, ms.
    """
    groups: dict[str, list[MovedFeature]] = defaultdict(list)
    for each in features:
        if each.is_broken and each.name in known:
            groups[known[each.name].field].append(each)
    tell: dict[str, _Least] = {}
    for field, group in groups.items():
        least = min(known[each.name].span for each in group)
        those = [each for each in group if known[each.name].span == least]
        back = [each.whole for each in those if each.whole is not None]
        away = [each.since for each in those if each.whole is None]
        tell[field] = _Least(least, min(away, default=0), None if away else max(back))
    return [_with_memory(each, known.get(each.name), tell, now) for each in features]


class _Least(NamedTuple):
    """What the features of one field say that look back least.

    Attributes:
        span: how far they do, ms.
        since: since when the first of those that are broken is, ms; 0 where none is any more.
        whole: since when all are whole again, ms; None where one is not.
    """

    span: int
    since: int
    whole: int | None


def _with_memory(
    feature: MovedFeature, own: Memory | None, tell: Mapping[str, _Least], now: int
) -> MovedFeature:
    if own is None or not feature.is_broken:
        return replace(feature, remembers=None)
    least, remembers = tell[own.field], feature.remembers
    if feature.back is not None:  # what was whole before it came back stays so
        return feature
    if remembers is not None and least.since > remembers:  # its field is broken once more
        return replace(feature, since=least.since, remembers=None)
    if own.span > least.span:
        remembers = least.whole
    if remembers is not None and now > remembers + _PATIENCE * own.span:
        remembers = None
    return replace(feature, remembers=remembers)
