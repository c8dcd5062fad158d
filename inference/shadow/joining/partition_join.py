"""One partition of the topic of shadow scores: its pairs, and the labels of its events."""

import logging
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from inference.shadow.comparison.rows import ROW
from inference.shadow.comparison.sample import SAMPLED
from inference.shadow.comparison.terms import Terms
from inference.shadow.event_hash import id_hashes, partitions_of_ids
from inference.shadow.joining.candidate_join import DAY, TALLIES, CandidateJoin, Said
from inference.shadow.joining.heard import Heard
from inference.shadow.joining.known_labels import LABEL, KnownLabels
from inference.shadow.shadow_record import ShadowScore
from streams.feature_log import CHAMPION_ARM
from streams.loop.stateless.keyed_state import PartitionState

logger = logging.getLogger(__name__)

PROGRESS = b"p"
_SLACK = DAY
"""Clocks of who labels and of who sends events may differ by so much, ms."""
_SILENT = 90 * DAY
"""Of a candidate that has said nothing for so long, evidence is forgotten."""


@dataclass(frozen=True)
class Progress(Heard):
    """How far a partition is.

    Attributes:
        partitions: of the topic of shadow scores; where it gets more, events are spread anew.
        layout: of rows; see `LAYOUT`.
        reached: latest event time of each partition of the events, ms.
        forgotten: up to which time labels are kept no more, ms; None before any are forgotten.
    """

    partitions: int
    layout: str = ""
    reached: dict[int, int] = field(default_factory=dict)
    forgotten: int | None = None

    @property
    def watermark(self) -> int | None:
        """The event time that all partitions have reached, ms; None before there are events."""
        if not self.reached:
            return None
        return min([*self.reached.values(), *self.complete.values()])


_PROGRESS = TypeAdapter(Progress)

LAYOUT = sha256(repr([each.descr for each in (ROW, SAMPLED, LABEL)]).encode()).hexdigest()[:8]
"""Of the rows that are kept; those of another one can't be read."""


def read_progress(data: bytes) -> Progress:
    """How far a partition is, of what is kept of it.

    Raises:
        ValidationError: it is none.
    """
    return _PROGRESS.validate_json(data)


class PartitionJoin:
    """A partition's state, which is all that it keeps, once `write` is called.

    Args:
        partition: its number, of `partitions` of the topic.
    """

    def __init__(
        self, state: PartitionState, partition: int, partitions: int, terms: Terms
    ) -> None:
        self._state = state
        self._partition = partition
        self._terms = terms
        self.progress = Progress(partitions, LAYOUT)
        try:
            stored = state.get(PROGRESS)
            if stored is not None:
                found = read_progress(stored)
                if (found.partitions, found.layout) == (partitions, LAYOUT):
                    self.progress = found
                else:
                    self._clear("topic has other partitions, or Weir is another version")
            self._take_up()
        except ValueError as error:
            self._clear(f"state is not as Weir writes it ({error})")
            self._take_up()

    def _take_up(self) -> None:
        keys = [key for key, _ in self._state.items() if key.startswith(TALLIES)]
        names = [key[len(TALLIES) :].decode() for key in keys]
        self.labels = KnownLabels(self._state)
        self.candidates = {name: CandidateJoin(self._state, name, self._terms) for name in names}

    def _clear(self, why: str) -> None:
        logger.warning("evidence in partition %d begins anew: its %s", self._partition, why)
        for key, _ in list(self._state.items()):
            self._state.put(key, None)
        self.progress = Progress(self.progress.partitions, LAYOUT)

    def arrive(self, scores: Sequence[ShadowScore]) -> None:
        """Take in further shadow scores, in their order."""
        reached, forgotten = dict(self.progress.reached), self.progress.forgotten
        said: dict[str, list[Said]] = defaultdict(list)
        left_out: dict[str, Counter[str]] = defaultdict(Counter)
        ours = partitions_of_ids(
            id_hashes([score.event_id for score in scores]), self.progress.partitions
        )
        for score, place in zip(scores, ours.tolist(), strict=True):
            before = reached.get(score.partition, score.event_time)
            reached[score.partition] = max(before, score.event_time)
            for name, own in score.candidates.items():
                if score.arm != CHAMPION_ARM:
                    left_out[name]["arm"] += 1
                elif place != self._partition:
                    left_out[name]["elsewhere"] += 1
                elif forgotten is not None and score.event_time <= forgotten:
                    left_out[name]["late"] += 1
                else:
                    said[name].append((score, own))
        self.progress = replace(self.progress, reached=reached)
        for name, pairs in said.items():
            join = self.candidates.get(name)
            if join is None:
                join = self.candidates[name] = CandidateJoin(self._state, name, self._terms)
            join.arrive(pairs)
        for name, counts in left_out.items():
            if name in self.candidates:
                self.candidates[name].leave_out(counts)

    def hear(
        self, labels: NDArray[np.void], offsets: Mapping[int, int], complete: Mapping[int, int]
    ) -> None:
        """Take in labels of any events, (n,).

        Args:
            labels: of `LABEL`.
            offsets: of each partition that they come from, the next one.
            complete: see `Heard`.
        """
        progress = self.progress
        places = partitions_of_ids(labels["hash"], progress.partitions)
        own = labels[places == self._partition]
        for each in self.candidates.values():
            each.hear(own)
        self.labels.add(own)
        self.progress = progress.further(offsets, complete)

    def labels_stand(self, ends: Mapping[int, int]) -> None:
        """Where labels end; see `Heard.standing`."""
        self.progress = self.progress.standing(ends)

    def mature(self) -> None:
        """Judge what is old enough; all labels up to now must have been heard."""
        watermark = self.progress.watermark
        if watermark is None:
            return
        for name, each in list(self.candidates.items()):
            each.mature(watermark, self.labels)
            if each.tally is not None and each.tally.latest < watermark - _SILENT:
                each.forget()
                del self.candidates[name]
        # Older labels are of events that were judged. Those of a partition of the events that is
        # heard of only now come too late: without their labels, all would be legitimate.
        until = watermark - self._terms.maturity - _SLACK
        self.labels.forget(until)
        before = self.progress.forgotten
        until = until if before is None else max(before, until)
        self.progress = replace(self.progress, forgotten=until)

    def write(self) -> None:
        """Write down what has changed, at the end of a batch."""
        for each in self.candidates.values():
            each.write()
        progress = _PROGRESS.dump_json(self.progress)
        if progress != self._state.get(PROGRESS):
            self._state.put(PROGRESS, progress)
