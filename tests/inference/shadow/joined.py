"""Pairs and labels, put through the second stage of the shadow in memory."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from inference.policy.costs import CostSettings
from inference.policy.policy import DECISIONS
from inference.shadow.comparison.comparison import Comparison, compare
from inference.shadow.comparison.gathered import Gathered
from inference.shadow.comparison.settings import ComparisonSettings
from inference.shadow.comparison.terms import Terms
from inference.shadow.event_hash import id_hashes
from inference.shadow.joining.gathering import gather
from inference.shadow.joining.known_labels import LABEL
from inference.shadow.joining.partition_join import PartitionJoin
from inference.shadow.shadow_record import CandidateScore, ShadowScore
from streams.loop.stateless.keyed_state import PartitionState

DAY = 86_400_000
START = 1_700_000_000_000
COSTS = CostSettings(cap=500, friction=20, review=5)


class Setup(NamedTuple):
    """What settings say of a comparison."""

    comparison: ComparisonSettings
    costs: CostSettings | None

    def but(self, **values: Any) -> "Setup":
        """The same, with other values of `[comparison]`."""
        return self._replace(comparison=self.comparison.model_copy(update=values))


SETTINGS = Setup(ComparisonSettings(), COSTS)

Labels = Mapping[int, Sequence[tuple[int, int]]]
"""By event id: when it became known, and 0 or 1."""


def terms_of(settings: Setup, maturity: int = 0) -> Terms:
    return Terms.of(*settings, maturity)


def score(event_id: int | str, **more: Any) -> ShadowScore:
    """Champion "a" approves, and candidate "new", model "b", reviews."""
    said = CandidateScore("b", "1", 0.5, 0.5, 0.1, "review")
    values: dict[str, Any] = {
        "event_id": event_id,
        "key": 1,
        "event_time": START + int(event_id) * 1_000,
        "partition": 0,
        "offset": int(event_id),
        "model": "a",
        "policy": "1",
        "arm": "champion",
        "share": 1.0,
        "propensity": 1.0,
        "score": 0.1,
        "probability": 0.1,
        "anomaly": 0.1,
        "decision": "approve",
        "fallback": False,
        "context": {"amount": 100.0},
        "kept": 1.0,
        "candidates": {"new": said},
    }
    return ShadowScore(**values | more)


def scores_of(
    champion: Sequence[int] | NDArray[Any],
    candidate: Sequence[int] | NDArray[Any],
    times: Sequence[int] | None = None,
    partitions: Sequence[int] | None = None,
    context: Sequence[dict[str, Any]] | None = None,
) -> list[ShadowScore]:
    """Events 0 to n, of these decisions."""
    count = len(champion)
    probabilities = np.linspace(0.01, 0.99, count).tolist()
    return [
        score(
            place,
            event_time=START + place * 1_000 if times is None else times[place],
            partition=0 if partitions is None else partitions[place],
            probability=probabilities[place],
            decision=DECISIONS[first],
            context={"amount": 100.0} | ({} if context is None else context[place]),
            candidates={
                "new": CandidateScore("b", "1", 0.5, probabilities[place], 0.1, DECISIONS[second])
            },
        )
        for place, (first, second) in enumerate(
            zip(np.asarray(champion).tolist(), np.asarray(candidate).tolist(), strict=True)
        )
    ]


def label_rows(labels: Labels) -> NDArray[np.void]:
    said = [(event_id, *each) for event_id, found in labels.items() for each in found]
    rows = np.zeros(len(said), LABEL)
    rows["hash"] = id_hashes([event_id for event_id, _, _ in said])
    rows["time"] = [time for _, time, _ in said]
    rows["label"] = [label for _, _, label in said]
    return rows


class Joined:
    """One partition of one, in memory."""

    def __init__(self, settings: Setup = SETTINGS, maturity: int = 0) -> None:
        self.settings, self.terms = settings, terms_of(settings, maturity)
        self.state = PartitionState({})
        self.join = PartitionJoin(self.state, 0, 1, self.terms)

    def take(
        self,
        scores: Sequence[ShadowScore],
        labels: Labels | None = None,
        complete: int | None = None,
    ) -> "Joined":
        self.join.arrive(scores)
        said = {} if complete is None else {0: complete}
        self.join.hear(label_rows(labels or {}), {0: 1}, said)
        self.join.mature()
        self.join.write()
        self.state.commit()
        return self

    def restart(self) -> "Joined":
        """Go on with what a successor would read."""
        self.state = PartitionState(dict(self.state.items()))
        self.join = PartitionJoin(self.state, 0, 1, self.terms)
        return self

    def gathered(self, name: str = "new") -> Gathered:
        return gather(name, [self.state.items()], self.terms)

    def compared(self, place: int = 1, name: str = "new") -> Comparison:
        return compare(
            self.gathered(name),
            self.settings.costs,
            cards_per_day=self.settings.comparison.cards_per_day,
            overall_alpha=self.settings.comparison.alpha,
            maturity_ms=self.terms.maturity,
            place=place,
            generator=np.random.default_rng(1),
        )


def compared(
    scores: Sequence[ShadowScore], labels: Labels, settings: Setup = SETTINGS, place: int = 1
) -> Comparison:
    """Of events that count at once."""
    return Joined(settings).take(scores, labels).compared(place)
