"""Approves some would-be declines, by a hash of the event's id, while the day's budget lasts."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from math import isfinite
from time import monotonic
from typing import Any

import numpy as np
from confluent_kafka import KafkaException
from numpy.typing import NDArray

from inference.approve_through.metrics import ApproveThroughMetrics, Outcome
from inference.approve_through.note_reader import Noted
from inference.approve_through.settings import ApproveThroughSettings
from inference.approve_through.spending import DAY_MS, Note, Spending, encode_note
from inference.policy.policy import APPROVE, DECLINE
from inference.routing.points import Points
from inference.routing.verdicts import Verdicts
from streams.intake.input_batch import InputBatch

logger = logging.getLogger(__name__)

_DOMAIN = b"weir-approve-through\0"
_RETRY_S = 10.0


@dataclass(frozen=True)
class Decided:
    """Verdicts after some would-be declines were approved.

    Attributes:
        verdicts: with `Verdicts.approve_through`.
        notes: for the feature log records of each partition.
        count: to be called once the answers are visible.
    """

    verdicts: Verdicts
    notes: dict[int, str]
    count: Callable[[], None]


class ApproveThrough:
    """Decides on would-be declines. For one thread at a time.

    Only what the champion itself declines, of keys of its own, is such: an arm's answers, and the
    fallback's, are what they are. Each partition has its part of the budget and spends it in the
    order of its offsets; so what an event is told depends on nothing but those before it, and is
    the same whenever, and by whomever, it is answered again.

    Args:
        read_note: what a partition had spent before an offset; see `last_note`.
    """

    def __init__(
        self,
        settings: ApproveThroughSettings,
        read_note: Callable[[int, int], Noted],
        metrics: ApproveThroughMetrics,
    ) -> None:
        self._settings = settings
        self._read_note = read_note
        self._metrics = metrics
        self._points = Points(_DOMAIN + settings.salt.get_secret_value().encode())
        self._budget = 0.0
        self._known: dict[int, _Known] = {}
        self._retry_at = 0.0
        self._told: dict[int, int] = {}

    def forget(self, partition: int | None = None) -> None:
        """Whoever has a partition, or all, from now on has to ask what was spent."""
        if partition is None:
            self._known.clear()
        else:
            self._known.pop(partition, None)

    def decide(self, work: InputBatch, said: Verdicts) -> Decided:
        """Approve those would-be declines whose turn it is."""
        stretches = _stretches(work)
        for partition, first, end in stretches:
            self._take_up(partition, first, end)
        declined = np.flatnonzero((said.decisions == DECLINE) & (said.arm == 0) & ~said.fallback)
        chances = np.full(len(said.decisions), np.nan)
        decisions = said.decisions.copy()
        counted: list[tuple[Outcome, float]] = []
        if declined.size:
            events = work.events.take(declined)
            bound = said.routes.served[0].policy.decline
            excess = said.outputs.probability[declined].astype(np.float64) - float(bound)
            columns = (
                declined.tolist(),
                work.partitions[declined].tolist(),
                (events.times // DAY_MS).tolist(),
                events.values(self._settings.amount),
                self._settings.shares(excess).tolist(),
                self._points(events.ids).tolist(),
            )
            for row, partition, day, value, share, point in zip(*columns, strict=True):
                amount = _at_stake(value)
                outcome = self._outcome(partition, day, amount, share, point)
                counted.append((outcome, amount or 0.0))
                chances[row] = share if outcome in ("let_through", "declined") else 0.0
                if outcome == "let_through":
                    decisions[row] = APPROVE
        notes = {
            partition: encode_note(Note(known.first, known.spending))
            for partition, _, _ in stretches
            if (known := self._known.get(partition)) is not None
        }
        left = sum(
            max(0.0, self._budget - known.spending.amount)
            for known in self._known.values()
            if known.spending.amount is not None
        )
        return Decided(
            replace(said, decisions=decisions, approve_through=chances),
            notes,
            lambda: self._metrics.count(counted, left),
        )

    def _outcome(
        self, partition: int, day: int, amount: float | None, share: float, point: float
    ) -> Outcome:
        """What becomes of a would-be decline; what it may cost is spent."""
        known = self._known.get(partition)
        if known is None:
            return "no_budget"
        known.spending = known.spending.on(day)
        if not share:
            return "no_band"
        if amount is None:
            return "no_amount"
        if not known.spending.allows(day, amount, self._budget):
            self._tell(partition, known.spending)
            return "no_budget"
        if point >= share:
            return "declined"
        known.spending = known.spending.with_(amount)
        return "let_through"

    def _take_up(self, partition: int, first: int, end: int) -> None:
        """Know what was spent before an offset: by heart, unless others, or we, were beyond it."""
        known = self._known.get(partition)
        if known is None or first < known.end:
            known = self._ask(partition, first)
        if known is not None:
            known.first, known.end = first, end

    def _ask(self, partition: int, first: int) -> "_Known | None":
        self._known.pop(partition, None)
        if monotonic() < self._retry_at:
            return None
        try:
            spending, partitions = self._read_note(partition, first)
        except KafkaException as error:
            self._retry_at = monotonic() + _RETRY_S
            logger.warning(
                "approve-through: can't read what partition %d has let through: %s. Its would-be "
                "declines stay declined; trying again in %.0f s",
                partition,
                error.args[0].str(),
                _RETRY_S,
            )
            return None
        if spending.amount is None:
            logger.info(
                "approve-through: nobody knows what partition %d has let through: it begins with "
                "the next day of event time",
                partition,
            )
        self._budget = self._settings.daily_budget / partitions
        known = self._known[partition] = _Known(spending)
        return known

    def _tell(self, partition: int, spending: Spending) -> None:
        """Say once a day that the budget is at its end."""
        day = spending.day
        if day is None or spending.amount is None or self._told.get(partition) == day:
            return
        self._told[partition] = day
        logger.warning(
            "approve-through: partition %d has let through %.2f of its %.2f of %s, and a would-be "
            "decline is about more than what is left: it stays declined",
            partition,
            spending.amount,
            self._budget,
            (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day)).date(),
        )


@dataclass
class _Known:
    """What is known of a partition; `first` and `end` of the events that were answered last."""

    spending: Spending
    first: int = 0
    end: int = 0


def _stretches(work: InputBatch) -> list[tuple[int, int, int]]:
    """Each partition of a batch, its first offset there, and the one behind its last."""
    partitions, firsts = np.unique(work.partitions, return_index=True)
    lasts: NDArray[np.intp] = (
        len(work.partitions) - 1 - np.unique(work.partitions[::-1], return_index=True)[1]
    )
    return list(
        zip(
            partitions.tolist(),
            work.offsets[firsts].tolist(),
            (work.offsets[lasts] + 1).tolist(),
            strict=True,
        )
    )


def _at_stake(value: Any) -> float | None:
    """What is lost at most; None where nobody knows. A refund costs nothing."""
    if value is None or not isfinite(value):
        return None
    return max(0.0, float(value))
