"""How a model's parameters were found: what the card says of a search, and each of its trials."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from streams.base.section import Section


class SearchRecord(Section):
    """What a card says of the search that found its parameters.

    Attributes:
        metric: what was to be large, as mean over the folds.
        figure: that of the chosen parameters; a little flattered, since they are the best of many.
        as_set: that of the parameters as the settings had them; None where these failed.
        trials: how many others were tried.
        families: kinds of fraud model that were tried.
        folds: how many there were.
        start, stop: the span of them all, UTC milliseconds, the last left out.
        ended: by what; only a search that ended by its trials finds the same again.
    """

    metric: str
    figure: float
    as_set: float | None
    trials: int
    families: tuple[str, ...]
    folds: int
    start: int
    stop: int
    ended: Literal["trials", "time", "stop"]


@dataclass(frozen=True)
class Trial:
    """One try of a search.

    Attributes:
        number: 0 for the parameters as the settings had them.
        family: kind of fraud model.
        parameters: what was searched, by its key below ``[training]``.
        figure: the metric, NaN where it failed.
        begun: UTC milliseconds.
        seconds: how long it took.
        failed: why there is no figure; empty where there is one.
    """

    number: int
    family: str
    parameters: Mapping[str, Any]
    figure: float
    begun: int
    seconds: float
    failed: str = ""
