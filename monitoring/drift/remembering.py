"""What windows remember: a mean over 30 days knows of a day in cents for a month.

Once what such a feature is made of is whole again, its data are not broken any more: it only
remembers, until its window has passed.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence

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
    whole: dict[str, tuple[int, int | None]] = {}
    for field, group in groups.items():
        least = min(known[each.name].span for each in group)
        back = [each.back for each in group if known[each.name].span == least]
        since = [each for each in back if each is not None]
        whole[field] = least, max(since) if len(since) == len(back) else None
    return [_with_memory(each, known.get(each.name), whole, now) for each in features]


def _with_memory(
    feature: MovedFeature, own: Memory | None, whole: Mapping[str, tuple[int, int | None]], now: int
) -> MovedFeature:
    remembers = None
    if own is not None and feature.is_broken:
        least, since = whole[own.field]
        if feature.back is not None:  # what was whole before it came back stays so
            remembers = feature.remembers if feature.remembers == since else None
        elif since is not None and own.span > least and now <= since + _PATIENCE * own.span:
            remembers = since
    return replace(feature, remembers=remembers)
