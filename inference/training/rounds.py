"""At which boosting rounds one looks at a model in the making."""

import itertools

_STAGES = 25


def spans_of(rounds: int) -> list[tuple[int, int]]:
    """Spans of rounds from the first to the last, ends left out: at most 25, short ones first."""
    ends = {round(rounds * (place / _STAGES) ** 2) for place in range(_STAGES + 1)}
    return list(itertools.pairwise(sorted(ends)))
