"""How far a partition has heard the labels: of whatever meets them in its state."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Heard:
    """Progress in the topic of labels.

    Attributes:
        labels: of each partition of the labels, the next offset to be read.
        complete: up to which time all labels of a partition have been sent, where it says so, ms.
    """

    labels: dict[int, int] = field(default_factory=dict)
    complete: dict[int, int] = field(default_factory=dict)

    def further(self, offsets: Mapping[int, int], complete: Mapping[int, int]) -> Self:
        """The progress once labels before these offsets are heard; `complete` may go back."""
        latest = {
            each: max(times[each] for times in (self.complete, complete) if each in times)
            for each in {*self.complete, *complete}
        }
        return replace(self, labels=self.labels | dict(offsets), complete=latest)

    def standing(self, ends: Mapping[int, int]) -> Self:
        """The progress by what there is: labels of partitions that end before where we were are to
        be heard from the first one, and those that are gone no more: the topic was made anew.

        Args:
            ends: of each partition that there is, the next offset to be written.
        """
        heard = {
            each: position
            for each, position in self.labels.items()
            if position <= ends.get(each, -1)
        }
        if heard == self.labels:
            return self
        logger.warning("the topic of labels was made anew: hearing it from its beginning")
        complete = {each: time for each, time in self.complete.items() if each in heard}
        return replace(self, labels=heard, complete=complete)


class Hearer(Protocol):
    """A partition of ours that labels are told to."""

    @property
    def progress(self) -> Heard:
        """How far it has heard them."""

    def labels_stand(self, ends: Mapping[int, int]) -> None:
        """Told where the labels end; see `Heard.standing`."""

    def hear(
        self, labels: NDArray[np.void], offsets: Mapping[int, int], complete: Mapping[int, int]
    ) -> None:
        """Take in labels of any events, (n,), of `LABEL`; see `Heard.further`."""
