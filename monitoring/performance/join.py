"""Where answers meet labels: one partition of the feature log, and what it knows of its cohorts.

An event counts at a fixed age with the label that is known by then, as in the second stage of the
shadow. The partitions of the feature log are those of the events, by their keys, and a label names
an id alone. So each partition hears all labels, keeps those of events that wait here, and others
for as long as their event may still come.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from inference.shadow.comparison.terms import Terms
from inference.shadow.joining.heard import Heard
from inference.shadow.joining.known_labels import LABEL, NEVER, KnownLabels
from monitoring.performance.cohorts.cohort import (
    DAY,
    Cohort,
    CohortKey,
    Group,
    answered_cohort,
    by_cohort,
    cohort_bytes,
    read_cohort,
)
from monitoring.performance.cohorts.delay_bins import delay_bins
from monitoring.performance.cohorts.truth import ROW, Truth, count
from monitoring.performance.waiting import Waiting
from streams.loop.stateless.keyed_state import PartitionState

logger = logging.getLogger(__name__)

PREFIX = b"performance/"
"""What all its keys begin with."""
PROGRESS = PREFIX + b"p"
_WAITING, _KNOWN, _EARLY, _COHORTS = (PREFIX + each for each in (b"w/", b"l/", b"e/", b"c/"))
_SLACK = DAY
"""Clocks of who labels and of who sends events may differ by so much, ms."""

LAYOUT = sha256(repr([ROW.descr, LABEL.descr]).encode()).hexdigest()[:8]
"""Of the rows that are kept; those of another one can't be read."""


@dataclass(frozen=True)
class Progress(Heard):
    """How far a partition is.

    Attributes:
        layout: of rows; see `LAYOUT`.
        reached: latest event time, ms; None before there are events.
        matured: up to which time events have become mature, ms; None before any have.
        halvings: see `Waiting`.
        over, mature: days that were told; see `telling`.
        groups: what the codes of rows stand for.
    """

    layout: str = LAYOUT
    reached: int | None = None
    matured: int | None = None
    halvings: int = 0
    over: int = 0
    mature: int = 0
    groups: tuple[Group, ...] = ()

    @property
    def watermark(self) -> int | None:
        """The time up to which all labels are known, ms; None before there are events."""
        return None if self.reached is None else min([self.reached, *self.complete.values()])


_PROGRESS = TypeAdapter(Progress)
_KEY = TypeAdapter(CohortKey)


class PerformanceJoin:
    """A partition's state, which is all that it keeps, once `write` is called.

    Args:
        most: events that wait, at most.
        keep: how long cohorts are kept once they are mature, ms.
    """

    def __init__(self, state: PartitionState, terms: Terms, *, most: int, keep: int) -> None:
        self._state = state
        self._terms = terms
        self._most = most
        self._keep = keep
        self.progress = Progress()
        try:
            stored = state.get(PROGRESS)
            if stored is not None:
                found = _PROGRESS.validate_json(stored)
                if found.layout == LAYOUT:
                    self.progress = found
                else:
                    self._clear("Weir is another version")
            self._take_up()
        except ValueError as error:
            self._clear(f"state is not as Weir writes it ({error})")
            self._take_up()

    def _take_up(self) -> None:
        state, halvings = self._state, self.progress.halvings
        self.waiting = Waiting(state, _WAITING, self._most, halvings)
        self.labels = KnownLabels(state, _KNOWN)
        self.early = KnownLabels(state, _EARLY)
        self.cohorts = {
            _KEY.validate_json(key[len(_COHORTS) :]): read_cohort(value)
            for key, value in state.items()
            if key.startswith(_COHORTS)
        }
        self._unwritten: set[CohortKey] = set()
        self.untold = set(self.cohorts)

    def _clear(self, why: str) -> None:
        logger.warning("performance is counted anew in a partition: %s", why)
        for key, _ in list(self._state.items()):
            if key.startswith(PREFIX):
                self._state.put(key, None)
        self.progress = Progress()

    def code_of(self, group: Group) -> int:
        """The code of a group in rows; one that is new gets the next."""
        groups = self.progress.groups
        if group not in groups:
            groups = (*groups, group)
            self.progress = replace(self.progress, groups=groups)
        return groups.index(group)

    def arrive(self, rows: NDArray[np.void], anomalous: NDArray[np.bool_]) -> None:
        """Take in further answers, (n,).

        Args:
            rows: of `ROW`, with codes of `code_of`.
            anomalous: whether their anomaly is at the bound or above.
        """
        if not len(rows):
            return
        self._add(rows, lambda own: answered_cohort(rows[own], anomalous[own], self._terms))
        reached, latest = self.progress.reached, int(rows["time"].max())
        # Labels of what is later than that may have been dropped as those of other partitions.
        late = np.zeros(len(rows), np.bool_)
        if reached is not None:
            late, latest = rows["time"] <= reached - _SLACK, max(reached, latest)
        self.progress = replace(self.progress, reached=latest)
        shed = np.concatenate([rows[late], self.waiting.add(rows[~late])])
        self._add(shed, lambda own: Cohort(shed=int(own.sum())))
        self._meet(self.early.about(rows["hash"]))

    def labels_stand(self, ends: Mapping[int, int]) -> None:
        """Where labels end; see `Heard.standing`."""
        self.progress = self.progress.standing(ends)

    def hear(
        self, labels: NDArray[np.void], offsets: Mapping[int, int], complete: Mapping[int, int]
    ) -> None:
        """Take in labels of any events, (n,), of `LABEL`; see `Heard.further`."""
        rest = self._meet(labels)
        reached = self.progress.reached
        young = np.ones(len(rest), np.bool_) if reached is None else rest["time"] > reached - _SLACK
        self.early.add(rest[young])
        self.progress = self.progress.further(offsets, complete)

    def mature(self) -> None:
        """Judge what is old enough; all labels up to now must have been heard."""
        watermark = self.progress.watermark
        if watermark is None:
            return
        until = watermark - self._terms.maturity
        rows = self.waiting.take(until)
        known, _ = self.labels.of(rows["hash"], rows["time"] + self._terms.maturity)
        self._add(rows, lambda own: Cohort(truth=Truth.of(rows[own], known[own], self._terms)))
        self.labels.forget(until - _SLACK)
        self.early.forget(watermark - _SLACK)
        self._let_go((until - self._keep) // DAY)
        before = self.progress.matured
        if before is None or until > before:
            self.progress = replace(self.progress, matured=until)
            # Of days that have become whole, the store is to know it, though nothing else changed.
            for key in self.cohorts:
                end = (key.day + 1) * DAY
                if end <= until and (before is None or before < end):
                    self.untold.add(key)

    def write(self) -> None:
        """Write down what has changed, at the end of a batch."""
        for key in self._unwritten:
            self._state.put(_state_key(key), cohort_bytes(self.cohorts[key]))
        self._unwritten.clear()
        self.progress = replace(self.progress, halvings=self.waiting.halvings)
        progress = _PROGRESS.dump_json(self.progress)
        if progress != self._state.get(PROGRESS):
            self._state.put(PROGRESS, progress)

    def _meet(self, labels: NDArray[np.void]) -> NDArray[np.void]:
        """Keep labels of events that wait, and count reports of frauds; the labels of no such."""
        here, times, groups = self.waiting.find(labels["hash"])
        own, times, groups = labels[here], times[here], groups[here]
        # Of several reports of one event, the first that is heard counts; those that come after it
        # is mature are left out, since most find it gone.
        new = np.zeros(len(own), np.bool_)
        frauds = np.flatnonzero(own["label"] == 1)
        new[frauds[np.unique(own["hash"][frauds], return_index=True)[1]]] = True
        new &= self.labels.reported(own["hash"]) == NEVER
        new &= own["time"] <= times + self._terms.maturity
        reports = np.zeros(int(new.sum()), ROW)
        reports["time"], reports["group"] = times[new], groups[new]
        delays = delay_bins(own["time"][new] - times[new])
        self._add(reports, lambda which: Cohort(reports=count(delays[which])))
        self.labels.add(own)
        return labels[~here & self.waiting.may_wait(labels["hash"])]

    def _add(self, rows: NDArray[np.void], part: Callable[[NDArray[np.bool_]], Cohort]) -> None:
        if not len(rows):
            return
        for key, more in by_cohort(rows, self.progress.groups, self._terms, part).items():
            self.cohorts[key] = self.cohorts.get(key, Cohort()) + more
            self._unwritten.add(key)
            self.untold.add(key)

    def _let_go(self, before: int) -> None:
        """Forget cohorts of days before this one."""
        for key in [each for each in self.cohorts if each.day < before]:
            del self.cohorts[key]
            self._unwritten.discard(key)
            self.untold.discard(key)
            self._state.put(_state_key(key), None)


def _state_key(key: CohortKey) -> bytes:
    return _COHORTS + _KEY.dump_json(key)
