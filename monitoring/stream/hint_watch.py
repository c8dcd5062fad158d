"""Hints of adversaries: what crowds just under a bound, and keys whose events are variations."""

import msgspec

from monitoring.breakage.adversaries import CROWD_TIMES
from monitoring.breakage.kind import Kind
from monitoring.breakage.kinds import percent
from monitoring.breakage.shares import SURE
from monitoring.counting.cell_counts import StreamCounts
from monitoring.episodes.episode import MovedFeature
from monitoring.episodes.kept import Kept
from monitoring.stream.share_watch import Rule, Share
from streams.base.clock import utc

_HOUR_MS = 3_600_000
_RULE = Rule(CROWD_TIMES, 0.0, 100, _HOUR_MS)
_KEY = "stream:hints"
_MOST_BOUNDS, _MOST_KEYS = 64, 64
_VARIATIONS = "variations of one key, "


class _State(msgspec.Struct):
    """What is known.

    Attributes:
        shares: of keys beside each bound, those below it.
        open: of each cell that is not over, ms, keys below and above each bound.
        tried: of each key that tries variations, when it did so last, ms.
    """

    shares: dict[str, Share] = {}
    open: dict[int, dict[str, tuple[int, int]]] = {}
    tried: dict[str, int] = {}


class HintWatch:
    """Watches what looks like somebody who finds out what passes.

    Args:
        interval: length of a cell, ms.
    """

    def __init__(self, kept: Kept, interval: int) -> None:
        self._kept = kept
        self._interval = interval
        stored = kept.get(_KEY)
        self._known = _State() if stored is None else msgspec.msgpack.decode(stored, type=_State)

    def add(self, start: int, counts: StreamCounts) -> list[MovedFeature]:
        """Take in counts of the cell that begins then, ms; keys that are found to try variations.

        What crowds under a bound is seen when the cell is over.
        """
        known = self._known
        if counts.bounds:
            cell = known.open.setdefault(start, {})
            for name, (below, above) in counts.bounds.items():
                before = cell.get(name, (0, 0))
                cell[name] = before[0] + below, before[1] + above
        found = []
        for each in counts.tried:
            if each.place not in known.tried:
                if len(known.tried) >= _MOST_KEYS:
                    continue
                partition, offset = each.place.split("/")
                words = (
                    f"{each.near:,} of {each.pairs:,} consecutive events of one key are small"
                    f" variations of each other, up to {utc(each.at, 's')}: that of the event at"
                    f" offset {offset} of partition {partition}"
                )
                found.append(
                    MovedFeature(
                        _VARIATIONS + each.place,
                        each.at,
                        SURE,
                        0.0,
                        each.pairs + 1,
                        None,
                        each.near / each.pairs,
                        words,
                        Kind.VARIATIONS.value,
                    )
                )
            known.tried[each.place] = max(each.at, known.tried.get(each.place, 0))
        return found

    def look(self, until: int) -> tuple[list[MovedFeature], list[str]]:
        """Look at the cells that end by then, ms: what crowds, and what does so no more."""
        known = self._known
        found, over = [], []
        for start in sorted(each for each in known.open if each + self._interval <= until):
            for name, (below, above) in known.open.pop(start).items():
                if name not in known.shares:
                    if len(known.shares) >= _MOST_BOUNDS:
                        continue
                    known.shares[name] = Share()
                share = known.shares[name]
                was = share.found
                share.take(_RULE, {"": (below, below + above)}, start, start + self._interval)
                if share.found and not was:
                    found.append(_described(name, share))
                elif was and not share.found:
                    over.append(name)
        for place in [each for each, at in known.tried.items() if at + _HOUR_MS <= until]:
            del known.tried[place]
            over.append(_VARIATIONS + place)
        return found, over

    def forget(self, name: str) -> None:
        """Somebody has closed the episode: what is there now is usual from now on."""
        share = self._known.shares.get(name)
        if share is not None and share.found:
            share.begin_anew(share.total)
        self._known.tried.pop(name.removeprefix(_VARIATIONS), None)

    def write(self) -> None:
        """Write down what has changed, at the end of a batch."""
        self._kept.put(_KEY, msgspec.msgpack.encode(self._known))


def _described(name: str, share: Share) -> MovedFeature:
    before = share.past[0] / max(1, share.past[1])
    below, beside = share.total
    words = (
        f"keys crowd just under a bound, {name}: {percent(below / beside)} of those beside it are"
        f" below since {utc(share.since, 's')}, {percent(before)} before"
    )
    return MovedFeature(
        name,
        share.since,
        share.evidence(_RULE),
        0.0,
        beside,
        before,
        below / beside,
        words,
        Kind.CROWD.value,
    )
