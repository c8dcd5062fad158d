"""One candidate in one partition: pairs that wait, and what those that did not have to led to."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray
from pydantic import TypeAdapter

from inference.policy.policy import CODES
from inference.shadow.comparison.gathered import RECENT_DAYS
from inference.shadow.comparison.rows import ROW, Between, amount_of, probabilities, would_be
from inference.shadow.comparison.sample import SAMPLED
from inference.shadow.comparison.tally import UNKNOWN, Tally, read_tally, tally_bytes, weights_of
from inference.shadow.comparison.terms import Terms
from inference.shadow.event_hash import id_hashes
from inference.shadow.joining.known_labels import KnownLabels
from inference.shadow.joining.row_chunks import RowChunks
from inference.shadow.shadow_record import CandidateScore, ShadowScore
from inference.shadow.statistics.moments import STEP
from inference.shadow.statistics.similarity import Similarity
from streams.loop.stateless.keyed_state import PartitionState

logger = logging.getLogger(__name__)

DAY = 86_400_000
_MOST_SAMPLED = 100_000
_MOST_HALVINGS = 16
_SAMPLE_BITS = 20
"""The first bit of an event's hash that says whether it is in the sample."""

_SIMILARITY = TypeAdapter(Similarity)


def read_similarity(data: bytes) -> Similarity:
    """How alike models were, of what is kept of a day.

    Raises:
        ValidationError: it is none.
    """
    return _SIMILARITY.validate_json(data)


Said = tuple[ShadowScore, CandidateScore]


TALLIES = b"t/"
"""What their keys begin with."""


def tally_key(name: str) -> bytes:
    """Under which a candidate's tally stands."""
    return TALLIES + name.encode()


def prefix(kind: str, name: str) -> bytes:
    """What the keys of a candidate's rows begin with: `w`aiting, or sampled `0` and `1`, by label;
    or of what it looked like by `d`ay.
    """
    return f"{kind}/{name}/".encode()


class CandidateJoin:
    """The evidence on one candidate in a partition's state.

    Rows are there at once; the tally, which each step changes, once `write` is called.
    """

    def __init__(self, state: PartitionState, name: str, terms: Terms) -> None:
        self._state = state
        self._name = name
        self._terms = terms
        self.waiting = RowChunks(state, prefix("w", name), ROW)
        self._sample = tuple(
            RowChunks(state, prefix(str(label), name), SAMPLED) for label in (0, 1)
        )
        self._unwritten = False
        stored = state.get(tally_key(name))
        self._tally = None if stored is None else read_tally(stored)

    @property
    def tally(self) -> Tally | None:
        """None before it has said anything."""
        return self._tally

    def arrive(self, said: Sequence[Said]) -> None:
        """Take in what champion and candidate said of events, in their order."""
        tally, left_out, pairs = self._tally, Counter[str](), list[Said]()
        latest = 0 if tally is None else tally.latest
        for score, own in said:
            between = Between(score.model, own.model, score.policy)
            if tally is None or (between, self._terms.digest) != (tally.between, tally.terms):
                straggler = tally is not None and between != tally.between
                straggler = straggler and score.event_time < latest
                if straggler or own.policy != score.policy:
                    left_out["earlier"] += 1
                    continue
                left_out["earlier"] += len(pairs)
                pairs.clear()
                tally = self._begun_anew(between, tally)
            latest = max(latest, score.event_time)
            if own.policy != score.policy:
                left_out["earlier"] += 1
            elif score.fallback:
                left_out["fallback"] += 1
            elif own.decision not in CODES or score.decision not in CODES:
                left_out["error"] += 1
            else:
                pairs.append((score, own))
        if tally is not None:
            if tally.halvings == _MOST_HALVINGS and len(self.waiting) >= self._terms.most_waiting:
                # Nearly all decisions differ. Who comes now says nothing of its label.
                left_out["full"] += len(pairs)
                pairs.clear()
            tally = replace(tally.but(left_out), latest=latest)
            self._keep(self._taken(tally, pairs) if pairs else tally)

    def write(self) -> None:
        """Write down the tally, where it has changed."""
        if self._unwritten and self._tally is not None:
            self._state.put(tally_key(self._name), tally_bytes(self._tally))
        self._unwritten = False

    def leave_out(self, counts: Mapping[str, int]) -> None:
        """Count events that are no pairs, by why; nothing before the first pair."""
        if self._tally is not None:
            self._keep(self._tally.but(counts))

    def mature(self, watermark: int, labels: KnownLabels) -> None:
        """Judge pairs that are old enough by what was known of them when they became so."""
        tally = self._tally
        if tally is not None and tally.terms != self._terms.digest:
            anew = self._begun_anew(tally.between, tally)
            self._keep(replace(anew, latest=tally.latest))
            return
        rows = self.waiting.take(watermark - self._terms.maturity)
        if tally is None or not len(rows):
            return
        known, otherwise = labels.of(rows["hash"], rows["time"] + self._terms.maturity)
        corrected = tally.corrected + int(weights_of(rows)[otherwise].sum())
        tally = replace(tally, corrected=corrected).with_mature(rows, known, self._terms)
        counts = known >= (UNKNOWN if self._terms.unlabelled_count else 0)
        self._keep(self._sampled(tally, rows[counts], known[counts] == 1))

    def hear(self, labels: NDArray[np.void]) -> None:
        """Count labels of mature events that say otherwise than what these were taken for."""
        if self._tally is None:
            return
        otherwise = 0
        for label, chunks in enumerate(self._sample):
            other = np.unique(labels["hash"][labels["label"] != label])
            if len(other) and len(chunks):
                rows = chunks.rows
                found = int(weights_of(rows[np.isin(rows["hash"], other)]).sum())
                otherwise += found << self._tally.doublings[label]
        if otherwise:
            self._keep(replace(self._tally, corrected=self._tally.corrected + otherwise))

    def forget(self) -> None:
        """Keep nothing."""
        for chunks in (self.waiting, *self._sample):
            chunks.clear()
        for key, _ in list(self._state.items()):
            if key.startswith(prefix("d", self._name)):
                self._state.put(key, None)
        self._tally = None
        self._state.put(tally_key(self._name), None)

    def _begun_anew(self, between: Between, before: Tally | None) -> Tally:
        tally = Tally(between, self._terms.digest)
        if before is not None:
            logger.info(
                "evidence on candidate %s begins anew: %s",
                self._name,
                "it, the champion or the policy is another one"
                if between != before.between
                else "[comparison] says otherwise",
            )
            self.forget()
            former = before.events + before.left_out.get("earlier", 0)
            tally = tally.but({"earlier": former})
        return tally

    def _taken(self, tally: Tally, pairs: list[Said]) -> Tally:
        rows, scores = _rows(pairs, self._terms)
        alike = Similarity()
        days = rows["time"] // DAY
        for day in np.unique(days).tolist():
            own = days == day
            of_day = Similarity.of(
                rows["champion"][own],
                rows["candidate"][own],
                scores[0][own],
                scores[1][own],
                rows["amount"][own],
            )
            self._note_day(day, of_day)
            alike += of_day
        values = {
            name: [score.context.get(name) for score, _ in pairs] for name in self._terms.slices
        }
        shed = sum(round((1 / score.kept - 1) / STEP) for score, _ in pairs if score.kept < 1)
        tally = tally.with_pairs(rows, alike, values, shed)
        return self._wait(rows, tally)

    def _wait(self, rows: NDArray[np.void], tally: Tally) -> Tally:
        """Let pairs wait; where these are too many, a share of those with equal decisions."""
        halvings, most = tally.halvings, self._terms.most_waiting
        if halvings and len(self.waiting) < most // 4:
            halvings -= 1
        self.waiting.append(_halved(rows, halvings))
        while len(self.waiting) > most and halvings < _MOST_HALVINGS:
            halvings += 1
            self.waiting.replace(_halved(self.waiting.rows, halvings))
        return replace(tally, halvings=halvings)

    def _note_day(self, day: int, similarity: Similarity) -> None:
        start = prefix("d", self._name)
        before = self._state.get(start + b"%d" % day)
        if before is not None:
            similarity += read_similarity(before)
        else:
            days = [each for each, _ in self._state.items() if each.startswith(start)]
            for each in days:
                if int(each[len(start) :]) <= day - RECENT_DAYS:
                    self._state.put(each, None)
        self._state.put(start + b"%d" % day, _SIMILARITY.dump_json(similarity))

    def _sampled(self, tally: Tally, rows: NDArray[np.void], frauds: NDArray[np.bool_]) -> Tally:
        doublings = list(tally.doublings)
        scored = ~(np.isnan(rows["first"]) | np.isnan(rows["second"]))
        for label, chunks in enumerate(self._sample):
            own = rows[scored & (frauds == bool(label))]
            more = np.empty(len(own), SAMPLED)
            for name in ("hash", "key", "first", "second", "doublings"):
                more[name] = own[name]
            more["day"] = own["time"] // DAY
            chunks.append(more[_in_share(more, doublings[label])])
            while len(chunks) > _MOST_SAMPLED:
                doublings[label] += 1
                kept = chunks.rows
                chunks.replace(kept[_in_share(kept, doublings[label])])
        return replace(tally, doublings=(doublings[0], doublings[1]))

    def _keep(self, tally: Tally) -> None:
        self._tally, self._unwritten = tally, True


def _halved(rows: NDArray[np.void], halvings: int) -> NDArray[np.void]:
    """All with other decisions, and of the rest those that stand for 2^k."""
    equal = rows["champion"] == rows["candidate"]
    kept: NDArray[np.void] = rows[~equal | (rows["hash"] <= np.uint64(2 ** (64 - halvings) - 1))]
    equal = kept["champion"] == kept["candidate"]
    kept["doublings"] = np.where(equal, np.maximum(kept["doublings"], halvings), 0)
    return kept


def _in_share(rows: NDArray[np.void], doublings: int) -> NDArray[np.bool_]:
    """By other bits of the hash than what waits is chosen by (the highest), and than the partition
    is (the lowest: of all events here these are the same).
    """
    bits = rows["hash"] >> np.uint64(_SAMPLE_BITS)
    chosen: NDArray[np.bool_] = bits & np.uint64((1 << doublings) - 1) == 0
    return chosen


def _rows(
    pairs: list[Said], terms: Terms
) -> tuple[NDArray[np.void], tuple[NDArray[np.float64], NDArray[np.float64]]]:
    rows = np.zeros(len(pairs), ROW)
    first = probabilities([score.probability for score, _ in pairs])
    second = probabilities([own.probability for _, own in pairs])
    rows["hash"] = id_hashes([score.event_id for score, _ in pairs])
    rows["key"] = id_hashes([score.key for score, _ in pairs])
    rows["time"] = [score.event_time for score, _ in pairs]
    rows["amount"] = [amount_of(score.context.get(terms.amount or "")) for score, _ in pairs]
    rows["first"], rows["second"] = first, second
    decided = would_be(
        np.array([CODES[score.decision] for score, _ in pairs], np.int8),
        [None if score.approve_through is UNSET else score.approve_through for score, _ in pairs],
    )
    for column, values in decided._asdict().items():
        rows[column] = values
    rows["candidate"] = [CODES[own.decision or ""] for _, own in pairs]
    return rows, (first, second)
