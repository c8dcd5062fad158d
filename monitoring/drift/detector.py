"""Whether features have moved: evidence that holds however long one looks, and an effect.

Evidence is a Shiryaev-Roberts e-detector for each feature over cells of time: S = (S + 1) e for
each bet, alarm where their mean reaches A. With nothing moved, A cells pass in the mean until a
feature's alarm: Shin, Ramdas and Rinaldo, arXiv 2203.03532.

Evidence alone would cry, in a large stream, of what is there and does not matter. So the events
since the evidence was weak must show that the effect matters, too: by the test of the PSI, or by
bets against all that is `delta` away, which sees what is rare. The false alarms are bounded by the
evidence; so the level of that test is an ordinary one.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp  # type: ignore[import-untyped]

from monitoring.drift.yardstick import Yardstick
from monitoring.statistics.bets import log_e
from monitoring.statistics.effect import log_p_small, psi

_LEVEL = np.log(0.01)
_MOST = 1 / 5
"""Of ln A: so much is taken to be proved by a step at most. A burst of strange events, such as a
stolen card's, is over before there are so many steps; a change lasts."""
_WEAK = 1 / 3
"""Of ln A: below that, what was counted before says nothing of a change."""
_END = 1_000
"""Independent events, as the reference has them, by which it is seen that a change is over."""


@dataclass
class Watched:
    """What is known of F features: all state of the detectors.

    Several streams may be watched at once: all arrays then have an axis more, before F.

    Attributes:
        log_s: ln(1 + S) of each bet, (F, K).
        evidence: ln of the bets' mean S after the last cell, (F,).
        counts: of events since the evidence was weak, (F, B).
        groups: these events by group, (F, H).
        since: end of the last cell in which it was weak, ms, (F,).
        rise: what each bet has gained since it stood lowest, (F, K).
        rising: when that was, ms, (F, K).
        away: features that have moved, and are not back, (F,).
    """

    log_s: NDArray[np.float64]
    evidence: NDArray[np.float64]
    counts: NDArray[np.int64]
    groups: NDArray[np.int64]
    since: NDArray[np.int64]
    rise: NDArray[np.float64]
    rising: NDArray[np.int64]
    away: NDArray[np.bool_]

    @classmethod
    def begin(cls, yardstick: Yardstick, time: int, streams: tuple[int, ...] = ()) -> "Watched":
        """Nothing is known yet, at a time in ms."""
        features, groups, bins = yardstick.share.shape
        return cls(
            np.zeros((*streams, *yardstick.log_weight.shape)),
            np.full((*streams, features), -np.inf),
            np.zeros((*streams, features, bins), np.int64),
            np.zeros((*streams, features, groups), np.int64),
            np.full((*streams, features), time, np.int64),
            np.zeros((*streams, *yardstick.log_weight.shape)),
            np.full((*streams, *yardstick.log_weight.shape), time, np.int64),
            np.zeros((*streams, features), np.bool_),
        )

    def weak(self, log_alarm: float) -> NDArray[np.bool_]:
        """Of which features nothing says that they are away, (F,)."""
        return self.evidence < log_alarm * _WEAK


@dataclass(frozen=True)
class Moved:
    """A feature that has moved, by all that there is to say of it.

    Attributes:
        feature: its place.
        stream: which one, where several are watched.
        since: the likeliest beginning, ms.
        evidence: ln S.
        psi: of the events since its evidence was weak.
        counts: of these events, (bins,), and the shares that were to be expected.
    """

    feature: int
    stream: tuple[int, ...]
    since: int
    evidence: float
    psi: float
    counts: NDArray[np.int64]
    share: NDArray[np.float64]

    @property
    def events(self) -> int:
        """How many events there were since."""
        return int(self.counts.sum())


class Detector:
    """Watches the features of a yardstick.

    Args:
        log_alarm: ln A; for a mean time T between false alarms of any of M features, in cells of
            length c, A = M T / c.
    """

    def __init__(self, yardstick: Yardstick, log_alarm: float) -> None:
        self._yardstick = yardstick
        self.log_alarm = log_alarm
        # Of what has moved, a bet keeps what it loses in so many quiet events: so an end is seen.
        self._kept = log_alarm * _WEAK + _END * yardstick.losses - yardstick.log_weight

    def step(
        self, watched: Watched, counts: NDArray[np.int64], groups: NDArray[np.int64], end: int
    ) -> list[Moved]:
        """Take in a cell of time, or some; return the features whose evidence and effect are there.

        Args:
            watched: is changed.
            counts: of the cell's events, (F, B).
            groups: the cell's events by group, (H,).
            end: of the cell, ms.
        """
        yardstick = self._yardstick
        gained = np.minimum(self._gained(counts, groups), self.log_alarm * _MOST)
        log_s = watched.log_s + gained
        watched.evidence = logsumexp(log_s + yardstick.log_weight, axis=-1)
        watched.log_s = np.minimum(np.logaddexp(log_s, 0.0), self.log_alarm - yardstick.log_weight)
        watched.rise = np.maximum(watched.rise + gained, 0.0)
        watched.rising[watched.rise == 0] = end
        watched.counts += counts
        watched.groups += groups[..., None, :]
        weak = watched.weak(self.log_alarm)
        watched.counts[weak] = 0
        watched.groups[weak] = 0
        watched.since[weak] = end
        suspects = [
            tuple(each) for each in np.argwhere(watched.evidence >= self.log_alarm).tolist()
        ]
        found = [self.moved(watched, place) for place in suspects if self._matters(watched, place)]
        back = watched.away & weak
        watched.rise[back] = 0  # what it gained is of the change that is over
        watched.rising[back] = end
        watched.away &= ~weak
        for each in found:
            watched.away[(*each.stream, each.feature)] = True
        most = np.where(watched.away[..., None], self._kept, np.inf)
        watched.log_s = np.minimum(watched.log_s, most)
        return found

    def suspected(self, watched: Watched) -> set[str]:
        """The features of one stream of which evidence says that they may be away, by name."""
        weak = watched.weak(self.log_alarm)
        return {name for name, each in zip(self._yardstick.names, weak, strict=True) if not each}

    def _gained(self, counts: NDArray[np.int64], groups: NDArray[np.int64]) -> NDArray[np.float64]:
        """ln e of the bets, (..., F, K)."""
        yardstick = self._yardstick
        features, bins = counts.shape[-2:]
        by_feature = counts.reshape(-1, features, bins).swapaxes(0, 1).astype(np.float64)
        won = by_feature @ yardstick.log_ratio.swapaxes(1, 2)
        paid = groups.reshape(1, -1, groups.shape[-1]).astype(np.float64) @ yardstick.costs
        return np.asarray((won - paid).swapaxes(0, 1).reshape(*counts.shape[:-1], -1))

    def _matters(self, watched: Watched, place: tuple[int, ...]) -> bool:
        """Whether the events since the evidence was weak show more than what does not matter."""
        yardstick, feature = self._yardstick, place[-1]
        size = yardstick.sizes[feature]
        counts, groups = watched.counts[place][:size], watched.groups[place]
        if not groups.sum():
            return False
        log_p = log_p_small(
            counts,
            yardstick.expected(feature, groups),
            delta=yardstick.delta,
            clusters=yardstick.clusters[feature, :size],
            rows=float(yardstick.rows[feature] @ (groups / groups.sum())),
        )
        if log_p <= _LEVEL:
            return True
        beyond = log_e(
            yardstick.log_ratio[feature, :, :size], counts, groups @ yardstick.costs_beyond(feature)
        )
        return bool(logsumexp(beyond + yardstick.log_weight[feature]) >= -_LEVEL)

    def moved(self, watched: Watched, place: tuple[int, ...]) -> Moved:
        """What is known of a feature since its evidence was weak."""
        feature = place[-1]
        size = self._yardstick.sizes[feature]
        counts, groups = watched.counts[place][:size], watched.groups[place]
        share = self._yardstick.expected(feature, groups)
        return Moved(
            feature,
            place[:-1],
            _began(watched, place),
            float(watched.evidence[place]),
            psi(counts, share),
            counts.copy(),
            share,
        )


def _began(watched: Watched, place: tuple[int, ...]) -> int:
    """When those bets that say most stood lowest, ms: the likeliest beginning of a change.

    Page, Biometrika 41 (1954). A bet on a little may have risen for a while before, so the last of
    these tells.
    """
    best = watched.rise[place] >= watched.rise[place].max() - 1
    return int(watched.rising[place][best].max())
