"""From dead letters to counts: the task of a stage of the monitor of its own."""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence

from confluent_kafka import Message

from monitoring.counting.cell_counts import ENCODE, SPAN_MS, LetterCounts, outgoing_counts
from streams.dead_letters.letter import DeadLetter, read_dead_letter
from streams.events.record_headers import LONGEST_TEXT, PREFIX, header_of
from streams.kafka.partition import PartitionId
from streams.loop.stateless.loop import Processed

_BEHIND = 500
_MOST_REASONS, _MOST_PRODUCERS = 32, 32
OTHERS = "others"


class LetterTask:
    """The task of a `StatelessLoop` over the dead letters; it keeps nothing itself.

    What is no dead letter is passed over: to reject it would make another one. So are letters of
    other topics than these, which the monitor itself and others reject.

    Args:
        of: the topics that producers write.
        topic: of the counts.
        producer: who sent an event, where that is a header: ``header:app-version``.
        lag: records of each partition that were not read a moment ago.
    """

    def __init__(
        self,
        of: Collection[str],
        *,
        topic: str,
        producer: str,
        lag: Callable[[], Mapping[PartitionId, int]],
    ) -> None:
        self._of = of
        self._topic = topic
        self._header = header_of(producer) if producer.startswith(PREFIX) else None
        self._lag = lag

    def __call__(self, messages: Sequence[Message]) -> Processed:
        """Count some dead letters."""
        cells: dict[tuple[int, int], dict[str, Counter[str]]] = defaultdict(
            lambda: defaultdict(Counter)
        )
        for message in messages:
            try:
                letter = read_dead_letter(message)
            except ValueError:
                continue
            if letter.topic in self._of:
                span = letter.at_ms // SPAN_MS * SPAN_MS
                cells[message.partition() or 0, span][_reason(letter)][self._producer(letter)] += 1
        behind = {partition for (_, partition), lag in self._lag().items() if lag > _BEHIND}
        values = [
            ENCODE(LetterCounts(partition, span, _bounded(letters), partition in behind))
            for (partition, span), letters in sorted(cells.items(), key=lambda each: each[0])
        ]
        return Processed(outgoing_counts(self._topic, values))

    def _producer(self, letter: DeadLetter) -> str:
        if self._header is None:
            return ""
        value = dict(letter.headers).get(self._header)
        return (value or b"")[: 4 * LONGEST_TEXT].decode(errors="replace")[:LONGEST_TEXT]


def _reason(letter: DeadLetter) -> str:
    return letter.reason if letter.field is None else f"{letter.reason} of {letter.field[:100]}"


def _bounded(letters: Mapping[str, Counter[str]]) -> dict[str, dict[str, int]]:
    """The same, with no more reasons and producers than somebody can look at."""
    found: dict[str, dict[str, int]] = {}
    reasons = sorted(letters, key=lambda reason: (-letters[reason].total(), reason))
    for place, reason in enumerate(reasons):
        own = found.setdefault(reason if place < _MOST_REASONS else OTHERS, {})
        for place, (name, count) in enumerate(letters[reason].most_common()):
            who = name if place < _MOST_PRODUCERS else OTHERS
            own[who] = own.get(who, 0) + count
    return found
