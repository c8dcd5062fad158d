"""The newest events of the feature log, in columns: what a step would touch is told by them."""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from inference.policy.policy import CODES
from inference.shadow.comparison.rows import NothingToCompareError, amount_of, would_be
from streams.feature_log import CHAMPION_ARM, approve_through_of, feature_columns, read_feature_log
from streams.kafka.client import KafkaSettings
from streams.kafka.records.newest import read_newest_first


@dataclass(frozen=True)
class RecentEvents:
    """The n newest events, by event time, in no order.

    Attributes:
        keys: the keys of all.
        times: event times, ms, shape (n,).
        amounts: what was at stake, ``NaN`` where nobody knows, shape (n,).
        own: whether the champion's model answered for itself, shape (n,): not in an arm's place,
            nor the fallback in its.
        decisions: codes into `DECISIONS`, int8, shape (n,).
        features: the vectors that were scored, float32, shape (n, width).
        left_out: records that can't be read, or lack features.
    """

    keys: list[int | str]
    times: NDArray[np.int64]
    amounts: NDArray[np.float64]
    own: NDArray[np.bool_]
    decisions: NDArray[np.int8]
    features: NDArray[np.float32]
    left_out: int

    def take(self, rows: NDArray[np.intp]) -> "RecentEvents":
        """Those at these places."""
        return RecentEvents(
            [self.keys[row] for row in rows.tolist()],
            self.times[rows],
            self.amounts[rows],
            self.own[rows],
            self.decisions[rows],
            self.features[rows],
            self.left_out,
        )


def read_recent(
    kafka: KafkaSettings,
    topic: str,
    *,
    names: Sequence[str],
    champion: str,
    amount: str | None,
    most: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> RecentEvents:
    """Read the newest events, all partitions back to the same event time.

    Args:
        names: of the features.
        champion: the champion's name in scores.
        amount: the field that says what is at stake.
        most: so many events at most.

    Raises:
        NothingToCompareError: none stands there.
        ValueError: there is no such topic.
        KafkaException: the cluster failed.
    """
    parts: list[RecentEvents] = []
    oldest: dict[int, int] = {}
    counts: Counter[str] = Counter()
    more: frozenset[int] = frozenset()
    with closing(read_newest_first(kafka, topic)) as pieces:
        for piece, behind in pieces:
            more = behind
            for message in piece:
                try:
                    part = _columns(
                        read_feature_log(message.value() or b""), names, champion, amount
                    )
                except (ValueError, KeyError, TypeError, AttributeError, pa.ArrowException):
                    counts["left out"] += 1
                    continue
                if part.keys:
                    parts.append(part)
                    counts["events"] += len(part.keys)
                    partition, first = message.partition() or 0, int(part.times.min())
                    oldest[partition] = min(oldest.get(partition, first), first)
            progress(min(counts["events"], most), most)
            if counts["events"] >= most:
                break
    if not parts:
        raise NothingToCompareError(f"nothing that can be read stands on {topic!r}")
    whole = _joined(parts, counts["left out"])
    # Of a busy partition what was read ends earlier than of a quiet one.
    since = max((oldest[each] for each in more if each in oldest), default=int(whole.times.min()))
    rows = np.flatnonzero(whole.times >= since)
    return whole.take(rows[np.argsort(-whole.times[rows], kind="stable")][:most])


def _joined(parts: Sequence[RecentEvents], left_out: int) -> RecentEvents:
    return RecentEvents(
        [key for part in parts for key in part.keys],
        np.concatenate([part.times for part in parts]),
        np.concatenate([part.amounts for part in parts]),
        np.concatenate([part.own for part in parts]),
        np.concatenate([part.decisions for part in parts]),
        np.concatenate([part.features for part in parts]),
        left_out,
    )


def _columns(
    table: pa.Table, names: Sequence[str], champion: str, amount: str | None
) -> RecentEvents:
    context = [each or {} for each in table["context"].to_pylist()]
    own = np.array(table["arm"].to_pylist(), np.str_) == CHAMPION_ARM
    decisions = np.array([CODES[each] for each in table["decision"].to_pylist()], np.int8)
    own &= np.array(table["model"].to_pylist(), np.str_) == champion
    return RecentEvents(
        table["key"].to_pylist(),
        table["event_time"].cast(pa.int64()).to_numpy(),
        np.array([amount_of(each.get(amount or "")) for each in context], np.float64),
        own & ~table["fallback"].to_numpy(),
        would_be(decisions, approve_through_of(table)).champion,
        feature_columns(table, names),
        0,
    )
