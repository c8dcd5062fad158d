"""What champion and candidate said of the same events, read from the topic of shadow scores."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from inference.approve_through.settings import LEAST_SHARE
from inference.errors import InferenceError
from inference.policy.policy import APPROVE, CODES, DECLINE
from inference.shadow.shadow_record import CandidateScore, ShadowScore
from streams.feature_log import CHAMPION_ARM
from streams.kafka.client import KafkaSettings
from streams.kafka.records.consuming import read_to_end

Progress = Callable[[int, int], None]


class NothingToCompareError(InferenceError):
    """The candidate has said nothing yet."""


class Between(NamedTuple):
    """Whom a comparison is between; evidence begins anew where one of them changes."""

    champion: str
    candidate: str
    policy: str


@dataclass(frozen=True)
class Pairs:
    """n events of which both said something, in the order of event time and id.

    Attributes:
        ids: of the events.
        times: event times, ms, (n,).
        partitions: of the events, (n,).
        champion, candidate: decision codes, int8, (n,). What the champion would have declined is
            declined here, also where it was approved on purpose.
        champion_probability, candidate_probability: ``NaN`` where one gave no number, (n,).
        amounts: ``NaN`` where unknown, (n,).
        approve_through: the chance with which a would-be decline of the champion was approved, so
            that its truth be told; 0 where it had none, and elsewhere, (n,).
        let_through: whether it was, (n,).
        context: n values of each field that went along.
    """

    ids: list[Any]
    times: NDArray[np.int64]
    partitions: NDArray[np.int64]
    champion: NDArray[np.int8]
    candidate: NDArray[np.int8]
    champion_probability: NDArray[np.float64]
    candidate_probability: NDArray[np.float64]
    amounts: NDArray[np.float64]
    approve_through: NDArray[np.float64]
    let_through: NDArray[np.bool_]
    context: dict[str, list[Any]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class ReadPairs:
    """What was read.

    Attributes:
        left_out: events that are no pair, by why: ``earlier`` (of another champion, model or
            policy), ``arm`` (of keys that another arm than the champion answers for), ``fallback``
            (the champion had no time), ``error`` (the candidate gave no answer), ``unreadable``.
        shed: events that nobody was asked about stand behind these, by their shares: an estimate.
    """

    between: Between
    pairs: Pairs
    left_out: dict[str, int]
    shed: float


def read_pairs(
    kafka: KafkaSettings,
    topic: str,
    name: str,
    amount: str | None,
    progress: Progress = lambda done, total: None,
) -> ReadPairs:
    """Read all that a candidate has said, of the model and policy that it is now.

    Args:
        amount: the field that says what is at stake.

    Raises:
        NothingToCompareError: it has said nothing.
        ValueError: there is no such topic.
        KafkaException: the cluster failed.
    """
    decode = msgspec.json.Decoder(ShadowScore).decode
    left_out: Counter[str] = Counter()
    scores: list[tuple[ShadowScore, CandidateScore]] = []
    shed = 0.0
    for batch in read_to_end(kafka, topic, progress):
        for message in batch:
            try:
                score = decode(message.value() or b"")
            except (msgspec.DecodeError, UnicodeDecodeError):
                left_out["unreadable"] += 1
                continue
            said = score.candidates.get(name)
            if said is None:
                continue
            if score.arm != CHAMPION_ARM:
                left_out["arm"] += 1
                continue
            scores.append((score, said))
            shed += 1 / score.kept - 1
    if not scores:
        raise NothingToCompareError(
            f"candidate {name!r} has said nothing yet on {topic!r}: is `weir shadow` running, and "
            "does it answer? Its metric weir_shadow_candidate_answering and its log say so"
        )
    scores.sort(key=lambda pair: (pair[0].event_time, str(pair[0].event_id)))
    between = Between(scores[-1][0].model, scores[-1][1].model, scores[-1][0].policy)
    chosen = []
    for score, said in scores:
        if (score.model, said.model, score.policy) != between or said.policy != score.policy:
            left_out["earlier"] += 1
        elif score.fallback:
            left_out["fallback"] += 1
        elif said.decision is None or score.decision not in CODES or said.decision not in CODES:
            left_out["error"] += 1
        else:
            chosen.append((score, said))
    return ReadPairs(between, _columns(chosen, amount), dict(left_out), shed)


def _columns(scores: list[tuple[ShadowScore, CandidateScore]], amount: str | None) -> Pairs:
    decided = would_be(
        np.array([CODES[score.decision] for score, _ in scores], np.int8),
        [None if score.approve_through is UNSET else score.approve_through for score, _ in scores],
    )
    return Pairs(
        ids=[score.event_id for score, _ in scores],
        times=np.array([score.event_time for score, _ in scores], np.int64),
        partitions=np.array([score.partition for score, _ in scores], np.int64),
        champion=decided.champion,
        candidate=np.array([CODES[said.decision or ""] for _, said in scores], np.int8),
        champion_probability=_probabilities([score.probability for score, _ in scores]),
        candidate_probability=_probabilities([said.probability for _, said in scores]),
        amounts=np.array([amount_of(score.context.get(amount or "")) for score, _ in scores]),
        approve_through=decided.approve_through,
        let_through=decided.let_through,
        context={
            name: [_plain(score.context.get(name)) for score, _ in scores]
            for name in sorted({name for score, _ in scores for name in score.context})
        },
    )


class WouldBe(NamedTuple):
    """Columns of `Pairs`."""

    champion: NDArray[np.int8]
    approve_through: NDArray[np.float64]
    let_through: NDArray[np.bool_]


def would_be(decisions: NDArray[np.int8], chances: Sequence[float | None]) -> WouldBe:
    """What the champion would have decided, and which of it was approved on purpose.

    Args:
        decisions: what became of the events, (n,).
        chances: to be approved, of would-be declines; None elsewhere. One that can be none is 0.
    """
    chance = np.array(chances, np.float64)
    declined = ~np.isnan(chance)
    chance[~((chance >= LEAST_SHARE) & (chance < 1))] = 0.0
    through = declined & (decisions == APPROVE)
    return WouldBe(np.where(declined, DECLINE, decisions).astype(np.int8), chance, through)


def _plain(value: Any) -> Any:
    """What an event can hold; whoever else wrote it."""
    return value if isinstance(value, str | int | float | bool) else None


def _probabilities(values: list[float | None]) -> NDArray[np.float64]:
    """What a model that is out of its mind says is no probability."""
    found = np.array(values, np.float64)
    found[~((found >= 0) & (found <= 1))] = np.nan
    return found


def amount_of(value: Any) -> float:
    """The number in what an event holds; ``NaN`` where that is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return float("nan")
    return float(value) if np.isfinite(value) else float("nan")
