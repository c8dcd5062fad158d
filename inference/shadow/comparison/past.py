"""What another model, or another policy, would have said of the past: from the feature log."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from inference.engine.protocol import Outputs
from inference.policy.policy import CODES, Policy
from inference.shadow.comparison.pairs import (
    Between,
    NothingToCompareError,
    Pairs,
    Progress,
    ReadPairs,
    amount_of,
    would_be,
)
from streams.feature_log import CHAMPION_ARM, approve_through_of, feature_columns, read_feature_log
from streams.kafka.client import KafkaSettings
from streams.kafka.records.consuming import read_to_end


def past_pairs(
    kafka: KafkaSettings,
    topic: str,
    *,
    infer: Callable[[NDArray[np.float32]], Outputs],
    names: Sequence[str],
    model: str,
    policy: Policy,
    amount: str | None,
    first_ms: int | None = None,
    end_ms: int | None = None,
    progress: Progress = lambda done, total: None,
) -> ReadPairs:
    """Ask a model about all that stands in the feature log, on the vectors that were scored then.

    Args:
        infer: the model's answers to rows of these names.
        model: its name in scores.
        amount: the field that says what is at stake.
        first_ms, end_ms: event times; the end is left out.

    Raises:
        NothingToCompareError: nothing stands there of that time.
        ValueError: there is no such topic.
        KafkaException: the cluster failed.
    """
    left_out: Counter[str] = Counter()
    parts: list[dict[str, Any]] = []
    for batch in read_to_end(kafka, topic, progress):
        for message in batch:
            try:
                table = read_feature_log(message.value() or b"")
                table = table.filter(pa.array(_within(table, first_ms, end_ms)))
                others = int((~(own := _of_champion(table))).sum())
                table = table.filter(pa.array(own))
                matrix = feature_columns(table, names)
                part = _columns(table, message.partition() or 0, amount)
            except (ValueError, KeyError, TypeError, AttributeError, pa.ArrowException):
                left_out["unreadable"] += 1
                continue
            left_out["arm"] += others
            if table.num_rows:
                outputs = infer(matrix)
                part["candidate"] = policy.decide(outputs)
                part["candidate_probability"] = outputs.probability.astype(np.float64)
                parts.append(part)
    if not parts:
        raise NothingToCompareError(f"nothing of that time stands on {topic!r}")
    columns = parts[0].keys() - {"ids", "context"}
    whole = {name: np.concatenate([part[name] for part in parts]) for name in columns}
    ids = [each for part in parts for each in part["ids"]]
    rows = [each for part in parts for each in part["context"]]
    order = np.lexsort((whole["offsets"], whole["partitions"], whole["times"]))
    champion = str(whole["models"][order[-1]])
    chosen = order[(whole["models"][order] == champion) & ~whole["fallback"][order]]
    left_out["earlier"] = int((whole["models"] != champion).sum())
    left_out["fallback"] = int((whole["fallback"] & (whole["models"] == champion)).sum())
    column = {name: whole[name][chosen] for name in columns}
    pairs = Pairs(
        ids=[ids[row] for row in chosen.tolist()],
        times=column["times"],
        partitions=column["partitions"],
        champion=column["champion"],
        candidate=column["candidate"],
        champion_probability=column["champion_probability"],
        candidate_probability=column["candidate_probability"],
        amounts=column["amounts"],
        approve_through=column["approve_through"],
        let_through=column["let_through"],
        context={
            name: [rows[row].get(name) for row in chosen.tolist()]
            for name in sorted({name for row in rows for name in row})
        },
    )
    between = Between(champion, model, policy.version)
    return ReadPairs(between, pairs, {why: n for why, n in left_out.items() if n}, 0.0)


def _within(table: pa.Table, first_ms: int | None, end_ms: int | None) -> NDArray[np.bool_]:
    times = _times(table)
    wanted = np.ones(times.size, np.bool_)
    if first_ms is not None:
        wanted &= times >= first_ms
    if end_ms is not None:
        wanted &= times < end_ms
    return wanted


def _of_champion(table: pa.Table) -> NDArray[np.bool_]:
    own: NDArray[np.bool_] = np.array(table["arm"].to_pylist(), np.str_) == CHAMPION_ARM
    return own


def _times(table: pa.Table) -> NDArray[np.int64]:
    times: NDArray[np.int64] = table["event_time"].cast(pa.int64()).to_numpy()
    return times


def _columns(table: pa.Table, partition: int, amount: str | None) -> dict[str, Any]:
    """What the champion said, and when and where."""
    count = table.num_rows
    context = [each or {} for each in table["context"].to_pylist()]
    decisions = np.array([CODES[each] for each in table["decision"].to_pylist()], np.int8)
    return {
        "ids": table["event_id"].to_pylist(),
        "context": context,
        "times": _times(table),
        "offsets": table["offset"].to_numpy(),
        "partitions": np.full(count, partition, np.int64),
        "models": np.array(table["model"].to_pylist(), np.str_),
        "fallback": table["fallback"].to_numpy(),
        **would_be(decisions, approve_through_of(table))._asdict(),
        "champion_probability": table["probability"].to_numpy().astype(np.float64),
        "amounts": np.array([amount_of(each.get(amount or "")) for each in context]),
    }
