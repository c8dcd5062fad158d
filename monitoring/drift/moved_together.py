"""What moved in the same events: asked of a domain classifier while an episode goes on."""

import numpy as np

from monitoring.counting.model_bins import ModelBins
from monitoring.drift.detail_log import DetailLog
from monitoring.episodes.episode import Episode, Together
from monitoring.statistics.domain_classifier import tell_apart

_LEAST, _MOST = 200, 1_000
"""Vectors of an episode: with fewer nothing is said, and more are not looked at."""
_DIGITS = 4


def moved_together(episode: Episode, bins: ModelBins, log: DetailLog) -> Together | None:
    """What moved together since the episode began.

    It is asked anew when there are twice as many vectors; until then it is as it was. Whoever asks
    with the same log gets the same answer: a monitor that was killed says nothing else.
    """
    known, before = episode.together, bins.background
    looked_at = 0 if known is None else known.vectors
    if len(before) < _LEAST or looked_at >= _MOST:
        return known
    now = log.vectors(episode.began, len(bins.histograms))[:_MOST, : before.shape[1]]
    if len(now) < min(_MOST, max(_LEAST, 2 * looked_at)):
        return known
    found = tell_apart(before, now, np.random.default_rng(0))
    names = list(bins.histograms)
    ranked = sorted(np.flatnonzero(found.parts).tolist(), key=lambda each: -found.parts[each])
    return Together(
        auc=round(found.auc, _DIGITS),
        error=round(found.error, _DIGITS),
        share=round(found.share, _DIGITS),
        features=[(names[each], round(float(found.parts[each]), _DIGITS)) for each in ranked],
        vectors=len(now),
    )
