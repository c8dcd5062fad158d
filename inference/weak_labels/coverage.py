"""What rules do, before any label has come: how often they fire, overlap and contradict."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from inference.weak_labels.pattern_counts import PatternCounts
from streams.events.label_rules import LabelRule

_MUCH = 0.8
"""Of two rules' events that both fire for: more, and they are nearly one rule."""
_FEW = 3


@dataclass(frozen=True)
class Coverage:
    """Shares of the events, by their weights.

    Attributes:
        events: how many there are.
        fires, abstains: of each rule.
        fires_alone: where no other rule fires.
        any_rule: where at least one rule fires.
        conflict: where one rule says fraud, and another one legitimate.
        overlaps: of two rules, by their names: of the events for which one of them fires, the share
            for which both do.
        problems: what should be looked at, in words.
    """

    events: float
    fires: dict[str, float]
    abstains: dict[str, float]
    fires_alone: dict[str, float]
    any_rule: float
    conflict: float
    overlaps: dict[str, dict[str, float]]
    problems: list[str]


def cover(rules: Sequence[LabelRule], counts: PatternCounts) -> Coverage:
    """Look at the votes of rules on events of which no label need be known."""
    names = [rule.name for rule in rules]
    weight = counts.counts.sum(axis=1)
    total = max(float(weight.sum()), 1e-12)
    fires, abstains = counts.patterns == 1, counts.patterns == -1
    alone = fires & (fires.sum(axis=1) == 1)[:, None]
    fraud = np.array([rule.says == "fraud" for rule in rules])
    contradict = fires[:, fraud].any(axis=1) & fires[:, ~fraud].any(axis=1)
    overlaps: dict[str, dict[str, float]] = {}
    for first, name in enumerate(names):
        for second in range(first + 1, len(names)):
            either = weight @ (fires[:, first] | fires[:, second])
            both = weight @ (fires[:, first] & fires[:, second])
            overlaps.setdefault(name, {})[names[second]] = float(both / either) if either else 0.0

    def shares(where: np.ndarray) -> dict[str, float]:
        return dict(zip(names, (weight @ where / total).tolist(), strict=True))

    found = Coverage(
        events=float(weight.sum()),
        fires=shares(fires),
        abstains=shares(abstains),
        fires_alone=shares(alone),
        any_rule=float(weight @ fires.any(axis=1) / total),
        conflict=float(weight @ contradict / total),
        overlaps=overlaps,
        problems=[],
    )
    found.problems.extend(_problems(found, rules))
    return found


def _problems(found: Coverage, rules: Sequence[LabelRule]) -> list[str]:
    said = []
    if len(rules) < _FEW:
        said.append(
            f"{len(rules)} rules are too few to tell them apart by how they agree: their rates "
            "rest on the known labels alone. Three or more are better"
        )
    for name, fires in found.fires.items():
        if found.abstains[name] == 1:
            said.append(f"rule {name!r} always abstains: what it reads is missing in all events")
        elif not fires:
            said.append(f"rule {name!r} never fires: loosen its conditions, or remove it")
        elif fires + found.abstains[name] == 1:
            said.append(f"rule {name!r} always fires: it tells no event from another")
    for name, others in found.overlaps.items():
        for other, share in others.items():
            if share >= _MUCH:
                said.append(
                    f"rules {name!r} and {other!r} fire together in {share:.0%} of the events for "
                    "which one of them does: they say one thing twice; make one rule of them"
                )
    return said
