"""Who sends how much, hour by hour, and who has fallen silent while others go on."""

from collections import Counter
from collections.abc import Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

from monitoring.breakage.kind import Kind
from monitoring.breakage.outages import silence_found
from monitoring.breakage.silence import (
    ALIVE,
    HOUR_MS,
    Silence,
    Usual,
    newcomers,
    silent,
    taken_over,
    usual,
)
from monitoring.episodes.episode import MovedFeature
from monitoring.episodes.kept import Kept

_WEEKS_H, _RECENT_H, _LEAST_H = 3 * 168, 6, 6
"""Hours that are kept; of them, those that are looked at; and those that have to be known."""
_EVERY_MS = 300_000
_FEW = 100
"""Events of the past: who sent fewer is not watched."""
_GO_ON = 20.0
"""Events that its share of what the others send makes."""
_MOST = 256
_WEEK_MS = 168 * HOUR_MS
_ALL, _PARTITION, _PRODUCER = "", "partition ", "producer "
_HOUR, _SILENT = "stream:hour:", "stream:silent"
_HOUR_DECODER = msgspec.msgpack.Decoder(dict[str, list[int]])

Blocks = NDArray[np.int64]


class _Known(msgspec.Struct):
    """Of each name, since when it is silent, ms; and when the last silence of it was over."""

    silent: dict[str, int] = {}
    over: dict[str, int] = {}


class SilenceWatch:
    """Watches partitions and producers; what it knows stands in the state, an hour a key.

    Args:
        block_ms: span of a block; divides an hour.
        label: what a producer is called: ``app-version``.
    """

    def __init__(self, kept: Kept, block_ms: int, label: str) -> None:
        self._kept = kept
        self._block_ms = block_ms
        self._label = label
        self._a_day = HOUR_MS // block_ms
        self._hours: dict[int, dict[str, Blocks]] = {}
        for key in kept.names():
            if key.startswith(_HOUR):
                packed = _HOUR_DECODER.decode(kept.get(key) or b"")
                self._hours[int(key.removeprefix(_HOUR))] = {
                    name: np.array(counts, np.int64) for name, counts in packed.items()
                }
        stored = kept.get(_SILENT)
        self._known = _Known() if stored is None else msgspec.msgpack.decode(stored, type=_Known)
        self._firsts: dict[str, int] = {}
        for hour in sorted(self._hours):
            self._note_first(hour)
        self._touched: set[int] = set()
        self._usual: dict[str, tuple[int, Usual | None]] = {}

    def add(self, start: int, partition: int, producers: Mapping[str, int], events: int) -> None:
        """Count the events of a cell that begins then, ms."""
        hour = start // HOUR_MS
        counts = self._hours.setdefault(hour, {})
        self._touched.add(hour)
        block = start % HOUR_MS // self._block_ms
        own = {_ALL: events, f"{_PARTITION}{partition}": events}
        own |= {f"{_PRODUCER}{name}": count for name, count in producers.items() if name}
        for name, count in own.items():
            if name not in counts:
                if len(counts) >= _MOST:
                    continue
                counts[name] = np.zeros(self._a_day, np.int64)
            counts[name][block] += count
        self._note_first(hour)

    def look(self, before: int, end: int) -> tuple[list[MovedFeature], list[str]]:
        """Who fell silent by `end`, ms, and whose silence is over.

        Args:
            before: up to when it was looked at the last time; more often than each five minutes,
                nothing is looked at.
        """
        if before // _EVERY_MS == end // _EVERY_MS or not self._hours:
            return [], []
        last = (end - 1) // HOUR_MS
        self._tidy(last, new_hour=before // HOUR_MS != end // HOUR_MS)
        first = self._firsts[_ALL]
        if last - first < _LEAST_H:
            return [], []
        split = max(last + 1 - _RECENT_H, (first + last + 1) // 2)
        found, over = [], []
        for name, began in list(self._firsts.items()):
            if name == _ALL:
                continue
            if name in self._known.silent:
                if self._is_back(name, began, end):
                    self._over(name, began, end)
                    over.append(name)
            elif split > began:
                silence = self._silence(name, began, split, end)
                if silence is not None and self._retired(name, silence, end):
                    self._forget(name)
                elif silence is not None:
                    self._known.silent[name] = silence.since
                    found.append(self._described(name, silence))
        return found, over

    def forget(self, name: str) -> None:
        """Somebody has closed the episode: what is silent is gone for good."""
        if name in self._known.silent:
            self._forget(name)

    def write(self) -> None:
        """Write down what has changed, at the end of a batch."""
        for hour in self._touched:
            counts = self._hours.get(hour)
            value = None
            if counts:
                packed = {name: each.tolist() for name, each in counts.items()}
                value = msgspec.msgpack.encode(packed)
            self._kept.put(f"{_HOUR}{hour:012}", value)
        self._touched.clear()
        self._kept.put(_SILENT, msgspec.msgpack.encode(self._known))

    def _note_first(self, hour: int) -> None:
        for name in self._hours[hour]:
            self._firsts.setdefault(name, hour)

    def _tidy(self, last: int, *, new_hour: bool) -> None:
        """Forget what is too old, and once an hour those who send least where they are too many."""
        old = [each for each in self._hours if each <= last - _WEEKS_H]
        for hour in old:
            del self._hours[hour]
            self._touched.add(hour)
        if old:
            self._firsts = {}
            for hour in sorted(self._hours):
                self._note_first(hour)
        if new_hour and len(self._firsts) > _MOST:
            sent = Counter[str]()
            for counts in self._hours.values():
                sent.update({name: int(each.sum()) for name, each in counts.items()})
            for name, _ in sent.most_common()[_MOST:]:
                self._forget(name)

    def _counts(self, name: str, start: int, end: int) -> Blocks:
        """Counts of the blocks between two times, ms."""
        none = np.zeros(self._a_day, np.int64)
        hours = range(start // HOUR_MS, -(-end // HOUR_MS))
        of = [self._hours.get(hour, {}).get(name, none) for hour in hours]
        if not of:
            return none[:0]
        skipped = start % HOUR_MS // self._block_ms
        return np.concatenate(of)[skipped : skipped + (end - start) // self._block_ms]

    def _past(self, name: str, began: int, split: int) -> Usual | None:
        """What is usual of a name, of the hours before `split`; looked up once an hour."""
        known = self._usual.get(name)
        if known is not None and known[0] == split:
            return known[1]
        counts = self._counts(name, began * HOUR_MS, split * HOUR_MS)
        past = None
        if counts.sum() >= _FEW:
            past = usual(counts, began * HOUR_MS, self._block_ms)
        self._usual[name] = split, past
        return past

    def _silence(self, name: str, began: int, split: int, end: int) -> Silence | None:
        past = self._past(name, began, split)
        if past is None:
            return None
        start = max(split * HOUR_MS, self._known.over.get(name, 0))
        found = silent(self._counts(name, start, end), start, past)
        if found is None:
            return None
        # Where all fall alike, it is night, or the stream ends.
        of_all = int(self._counts(_ALL, began * HOUR_MS, split * HOUR_MS).sum())
        own = int(self._counts(name, began * HOUR_MS, split * HOUR_MS).sum())
        others = int(self._counts(_ALL, found.since, end).sum()) - found.seen
        expected = others * own / max(1, of_all - own)
        go_on = of_all > own and expected >= _GO_ON
        return found if go_on and found.seen < ALIVE * expected else None

    def _retired(self, name: str, silence: Silence, end: int) -> bool:
        """Whether new producers have taken over what this one lacks."""
        if not name.startswith(_PRODUCER):
            return False
        firsts, old = self._firsts, self._firsts[_ALL]
        seen = {
            each: hour * HOUR_MS
            for each, hour in firsts.items()
            if each != name and each.startswith(_PRODUCER) and hour > old
        }
        since, length = silence.since, end - silence.since
        more = {}
        for each in newcomers(seen, since, _WEEK_MS):
            before = int(self._counts(each, since - length, since).sum())
            more[each] = max(0, int(self._counts(each, since, end).sum()) - before)
        return taken_over(silence.expected - silence.seen, more)

    def _is_back(self, name: str, began: int, end: int) -> bool:
        """Whether the latest blocks, of which some events are expected, hold about half of them."""
        since = self._known.silent[name]
        past = self._past(name, began, max(began + 1, since // HOUR_MS))
        if past is None:
            return True
        counts = self._counts(name, since, end)
        hours = (since + self._block_ms * np.arange(len(counts))) // HOUR_MS % len(past.means)
        expected = past.means[hours][::-1].cumsum()
        blocks = int(np.searchsorted(expected, _GO_ON)) + 1
        if blocks > len(counts):
            return False
        return bool(counts[-blocks:].sum() >= expected[blocks - 1] / 2)

    def _over(self, name: str, began: int, end: int) -> None:
        """A silence is none of the usual: what was expected takes its place in the past."""
        since = self._known.silent.pop(name)
        self._known.over[name] = end
        past = self._past(name, began, max(began + 1, since // HOUR_MS))
        self._usual.pop(name, None)
        if past is None:
            return
        for start in range(since, end, self._block_ms):
            hour = start // HOUR_MS
            if name in self._hours.get(hour, {}):
                mean = round(past.means[hour % len(past.means)])
                self._hours[hour][name][start % HOUR_MS // self._block_ms] = mean
                self._touched.add(hour)

    def _forget(self, name: str) -> None:
        self._known.silent.pop(name, None)
        self._known.over.pop(name, None)
        self._usual.pop(name, None)
        self._firsts.pop(name, None)
        for hour, counts in self._hours.items():
            if counts.pop(name, None) is not None:
                self._touched.add(hour)

    def _described(self, name: str, silence: Silence) -> MovedFeature:
        producer = name.removeprefix(_PRODUCER) if name.startswith(_PRODUCER) else None
        kind = Kind.SILENT_PARTITION if producer is None else Kind.SILENT_PRODUCER
        said = name if producer is None else f"{self._label} {producer}"
        found = silence_found(kind, said, silence)
        return MovedFeature(
            name,
            silence.since,
            silence.log_e,
            0.0,
            silence.seen,
            silence.expected,
            float(silence.seen),
            found.words,
            kind.value,
            producer,
        )
