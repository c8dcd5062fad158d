"""Dead letters beside the events that were answered meanwhile: whose, why, and since when."""

from collections import Counter

import msgspec

from monitoring.breakage.outages import LEAST, TIMES, dead_letters_found
from monitoring.counting.cell_counts import SPAN_MS, LetterCounts, StreamCounts
from monitoring.episodes.episode import MovedFeature
from monitoring.episodes.kept import Kept
from monitoring.stream.share_watch import Rule, Share

_RULE = Rule(TIMES, LEAST, 1_000, 600_000)
_KEY = "stream:letters"
_MOST_REASONS, _MOST_SPANS = 64, 1_000
_LATE_MS = 600_000
"""What comes later than this is of a burst that nobody can mend any more."""
_NAME = "dead letters: "


class _Span(msgspec.Struct):
    """Of ten seconds, events by producer, and letters by reason and producer."""

    events: dict[str, int] = {}
    letters: dict[str, dict[str, int]] = {}


class _State(msgspec.Struct):
    """What is known.

    Attributes:
        spans: those that are open, by their begin, ms.
        first, reached: when the first events were answered, and the last ones, ms.
        closed: up to when all is looked at, ms.
        records: all that ever came, while there was no letter of a reason yet.
        behind: partitions of the dead letters that are being caught up with.
    """

    spans: dict[int, _Span] = {}
    shares: dict[str, Share] = {}
    first: int | None = None
    reached: int = 0
    closed: int = 0
    records: int = 0
    behind: list[int] = []


class LetterWatch:
    """Watches the share of records that are rejected, by reason."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept
        stored = kept.get(_KEY)
        self._known = _State() if stored is None else msgspec.msgpack.decode(stored, type=_State)

    def events(self, counts: StreamCounts) -> None:
        """Take in events that were answered, or that there were none up to a time."""
        known = self._known
        if known.first is None:
            known.first = counts.logged
            known.spans = {each: span for each, span in known.spans.items() if each >= known.first}
        known.reached = max(known.reached, counts.logged)
        span = self._span(counts.logged)
        if span is not None and counts.events:
            rest = counts.events - sum(counts.producers.values())
            _add(span.events, counts.producers | {"": counts.producers.get("", 0) + rest})

    def letters(self, counts: LetterCounts) -> None:
        """Take in letters."""
        known = self._known
        behind = {*known.behind} - {counts.partition}
        known.behind = sorted(behind | ({counts.partition} if counts.behind else set()))
        span = self._span(counts.logged)
        if span is not None:
            for reason, own in counts.letters.items():
                _add(span.letters.setdefault(reason, {}), own)

    def look(self) -> tuple[list[MovedFeature], list[str]]:
        """Look at the spans that are over: which reasons burst, and which of them no more.

        A span is over once events were answered later, or none came until then.
        """
        known = self._known
        found: list[MovedFeature] = []
        over: list[str] = []
        if known.behind:
            return [], []
        for start in sorted(each for each in known.spans if each < known.reached - SPAN_MS):
            span = known.spans.pop(start)
            known.closed = start + SPAN_MS
            for name, share, was in self._take(span, start):
                if share.found and (not was or self._grown(span, name, share)):
                    said = self._described(name, share)
                    found += [said] if said is not None else []
                    over = [each for each in over if each != _NAME + name]
                elif was and not share.found:
                    over.append(_NAME + name)
        return found, over

    def forget(self, name: str) -> None:
        """Somebody has closed the episode: so many are usual from now on."""
        share = self._known.shares.get(name.removeprefix(_NAME))
        if share is not None and share.found:
            share.begin_anew(share.total)

    def write(self) -> None:
        """Write down what has changed, at the end of a batch."""
        self._kept.put(_KEY, msgspec.msgpack.encode(self._known))

    def _span(self, start: int) -> _Span | None:
        """Where to count what is of this span; None where it is none of ours."""
        known = self._known
        if start < max(known.closed - _LATE_MS, known.first or 0):
            return None
        span = known.spans.setdefault(max(start, known.closed), _Span())
        if len(known.spans) > _MOST_SPANS:
            del known.spans[min(known.spans)]
        return span

    def _take(self, span: _Span, start: int) -> list[tuple[str, Share, bool]]:
        """Each reason with its share, and whether that had risen before."""
        known = self._known
        records = Counter(span.events)
        for own in span.letters.values():
            records.update(own)
        for reason in span.letters:
            if reason not in known.shares and len(known.shares) < _MOST_REASONS:
                known.shares[reason] = Share((0, known.records))
        known.records += records.total()
        told = []
        for reason, share in known.shares.items():
            letters = span.letters.get(reason, {})
            came = {name: (letters.get(name, 0), count) for name, count in records.items()}
            was = share.found
            share.take(_RULE, came, start, start + SPAN_MS)
            told.append((reason, share, was))
        return told

    def _grown(self, span: _Span, reason: str, share: Share) -> bool:
        """Whether there are twice as many letters as when it was asked last whose they are."""
        letters, _ = share.total
        before = letters - sum(span.letters.get(reason, {}).values())
        return letters.bit_length() > before.bit_length()

    def _described(self, reason: str, share: Share) -> MovedFeature | None:
        """What is said of it; None where calm spans since have made it too little to say more."""
        found = dead_letters_found(reason, share.past, share.now, share.since)
        if found is None:
            return None
        letters, records = share.total
        return MovedFeature(
            _NAME + reason,
            share.since,
            share.evidence(_RULE),
            0.0,
            records,
            share.past[0] / max(1, share.past[1]),
            letters / records,
            found.words,
            found.kind.value,
            found.producer,
        )


def _add(counts: dict[str, int], more: dict[str, int]) -> None:
    for name, count in more.items():
        counts[name] = counts.get(name, 0) + count
