"""Compares what was answered with what was asked, and features with their brute-force values.

Nothing here calls Weir: it works on what `tests.chaos.transcript` read.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.chaos import brute_force
from tests.chaos.configuration import LATENESS_MS, TOPICS
from tests.chaos.order import in_order
from tests.chaos.transcript import Answers, Headers, Inputs
from tests.chaos.violations import Violations

_OF_THE_EVENT_ITSELF = {"amount", "hour"}
_ROUNDED = {"std_1d"}
"""Compared to six digits: the definition does not say in which order to round."""
_RELATIVE = 1e-6


def without_closing(inputs: Inputs) -> list[int]:
    """How many events of each partition are to be answered: all but the closing one."""
    closing = {code for card, code in inputs.cards.items() if card.startswith("closing-")}
    return [len(part.cards) - sum(card in closing for card in part.cards) for part in inputs.events]


def check_set_and_order(
    inputs: Inputs, answers: Sequence[Answers], where: str, found: Violations
) -> None:
    """Each event has one answer, in its partition, in order per key; nothing else is answered."""
    for partition, n in enumerate(without_closing(inputs)):
        asked, given = inputs.events[partition], answers[partition]
        wanted = _rows(asked.ids[:n], asked.times[:n], asked.cards[:n])
        actual = _rows(given.ids, given.times, given.keys)
        if np.array_equal(_by_key(wanted), _by_key(actual)):
            continue
        place = f"{where}[{partition}]"
        missing = Counter(map(tuple, wanted.tolist()))
        extra = Counter(map(tuple, actual.tolist()))
        lost, surplus = missing - extra, extra - missing
        for row, count in lost.items():
            found.add("lost", f"{place}: event {row[0]} of time {row[1]} has no answer", count)
        for row, count in surplus.items():
            if row in missing:
                found.add("duplicated", f"{place}: event {row[0]} answered again", count)
            else:
                found.add("invented", f"{place}: answer to {row}, which nobody asked", count)
        if not lost and not surplus:
            wrong = np.flatnonzero((_by_key(wanted) != _by_key(actual)).any(axis=1))
            row = _by_key(actual)[wrong[0]].tolist()
            found.add("order", f"{place}: event {row[0]} is out of order in its key", wrong.size)


def check_offsets_in_log(inputs: Inputs, log: Sequence[Answers], found: Violations) -> None:
    """The feature log has each event's offset once, ascending in each partition."""
    for partition, n in enumerate(without_closing(inputs)):
        wanted = np.array(inputs.events[partition].offsets[:n], np.int64)
        actual = np.array(log[partition].offsets, np.int64)
        place = f"feature log[{partition}]"
        values, counts = np.unique(actual, return_counts=True)
        for offset in np.setdiff1d(wanted, values).tolist():
            found.add("lost", f"{place}: offset {offset} is missing")
        for offset in np.setdiff1d(values, wanted).tolist():
            found.add("invented", f"{place}: offset {offset} is no event to be answered")
        for offset, count in zip(values[counts > 1].tolist(), counts[counts > 1], strict=True):
            found.add("duplicated", f"{place}: offset {offset} stands there {count} times")
        # Answers of an arm stand in a record of their own, also where its model is the champion's.
        part = log[partition]
        answerers = np.array(
            [f"{model} {arm}" for (model, _), (arm, _) in zip(part.served, part.arms, strict=True)],
            np.str_,
        )
        for answerer in np.unique(answerers).tolist():
            own = actual[answerers == answerer]
            back = np.flatnonzero(np.diff(own) < 0)
            if back.size:
                detail = f"{place}: offset {own[back[0] + 1]} comes after {own[back[0]]}"
                found.add("order", detail, back.size)


def check_scores(scores: Sequence[Answers], log: Sequence[Answers], found: Violations) -> None:
    """Score topic and feature log say the same of each event; model, policy and arm, too."""
    known: dict[tuple[str, str | float], int] = {}

    def codes_of(pairs: Sequence[tuple[str, str | float]]) -> list[int]:
        return [known.setdefault(pair, len(known)) for pair in pairs]

    for partition in range(len(scores)):
        left, right = (
            _by_key(
                _rows(
                    part.ids,
                    part.times,
                    part.keys,
                    *map(_bits, _outputs(part)),
                    part.decisions,
                    codes_of(part.served),
                    codes_of(part.arms),
                    part.late,
                    part.approximate,
                )
            )
            for part in (scores[partition], log[partition])
        )
        if left.shape == right.shape and not np.array_equal(left, right):
            wrong = np.flatnonzero((left != right).any(axis=1))
            detail = f"partition {partition}: event {left[wrong[0], 0]} differs"
            found.add("scores differ from log", detail, wrong.size)


def check_features(inputs: Inputs, log: Sequence[Answers], found: Violations) -> tuple[int, int]:
    """Compare every feature of every event with brute force, and the flags with what they mean.

    Returns:
        ``(compared, late)``: events whose windows were compared, and those that are flagged as
        late, whose windows nobody promises: of these only the rest was compared.
    """
    counts = without_closing(inputs)
    expected, may_be_late = expected_features(inputs, counts)
    starts = np.concatenate([[0], np.cumsum(counts)])
    compared = late = 0
    for partition, n in enumerate(counts):
        offsets = np.array(inputs.events[partition].offsets[:n], np.int64)
        part, known = log[partition], 0
        for names, matrix in part.features:
            rows_here = slice(known, known + len(matrix))
            known += len(matrix)
            mine = np.array(part.offsets[rows_here], np.int64)
            place = np.minimum(np.searchsorted(offsets, mine), max(0, n - 1))
            real = offsets[place] == mine if n else np.zeros(mine.size, bool)
            rows, matrix, mine = starts[partition] + place[real], matrix[real], mine[real]
            flagged = np.array(part.late[rows_here], bool)[real]
            compared += int(np.count_nonzero(~flagged))
            late += int(np.count_nonzero(flagged))
            where = f"{TOPICS['events']}[{partition}]@"
            for offset in mine[flagged & ~may_be_late[rows]].tolist():
                found.add("wrong flag", f"{where}{offset}: late, and is not")
            for offset in mine[np.array(part.approximate[rows_here], bool)[real]].tolist():
                found.add("wrong flag", f"{where}{offset}: approximate, and no card is that busy")
            for name, column in zip(names, matrix.T, strict=True):
                wanted = expected[name][rows]
                wrong = ~_same(name, column, wanted)
                if name not in _OF_THE_EVENT_ITSELF:
                    wrong &= ~flagged
                if wrong.any():
                    first = int(np.flatnonzero(wrong)[0])
                    detail = (
                        f"{where}{mine[first]}: {name} is {column[first]:.9g}, "
                        f"brute force says {wanted[first]:.9g}"
                    )
                    found.add("wrong feature", detail, int(np.count_nonzero(wrong)))
    return compared, late


def expected_features(
    inputs: Inputs, counts: Sequence[int]
) -> tuple[dict[str, NDArray[np.float32]], NDArray[np.bool_]]:
    """All features by name, and which events may be flagged as late, being further than the
    allowance behind the newest of all; rows as the partitions concatenated.
    """
    parts = list(zip(inputs.events, counts, strict=True))
    times = [np.array(part.times[:n], np.int64) for part, n in parts]
    rows, turns = in_order(times, [np.array(part.ids[:n], np.int64) for part, n in parts])

    def column(name: str) -> list[Any]:
        joined = np.concatenate([np.array(getattr(part, name)[:n]) for part, n in parts])
        values: list[Any] = joined[rows].tolist()
        return values

    known = [np.array(labels, np.int64).reshape(-1, 3) for labels in inputs.labels]
    due = np.concatenate([np.maximum.accumulate(labels[:, 0]) for labels in known])
    order = np.argsort(due, kind="stable")
    labels = np.concatenate(known)[order]
    computed = brute_force.features(
        brute_force.Events(
            *(column(name) for name in ("ids", "times", "cards", "terminals", "amounts", "devices"))
        ),
        brute_force.Labels(
            labels[:, 1].tolist(),
            labels[:, 2].tolist(),
            np.searchsorted(turns, due[order]).tolist(),
        ),
    )
    back = np.empty_like(rows)
    back[rows] = np.arange(rows.size)
    in_turn = np.concatenate(times)[rows]
    newest = np.maximum.accumulate(in_turn)
    return (
        {name: values[back] for name, values in computed.items()},
        (in_turn < newest - LATENESS_MS)[back],
    )


def check_committed(
    inputs: Inputs, committed: dict[tuple[str, int], int], found: Violations
) -> None:
    """The group goes on where the first unanswered event stands: at the closing one."""
    for partition, n in enumerate(without_closing(inputs)):
        topic, part = TOPICS["events"], inputs.events[partition]
        bad = [
            offset for where, number, offset in inputs.bad if (where, number) == (topic, partition)
        ]
        last = max([*part.offsets[:n], *bad], default=-1)
        closing = part.offsets[n] if len(part.offsets) > n else last + 1
        offset = committed[topic, partition]
        if not last < offset <= closing:
            detail = f"{topic}[{partition}]: committed {offset}, not within {last + 1} … {closing}"
            found.add("committed offset", detail)


def check_all_committed(
    committed: dict[tuple[str, int], int], ends: dict[tuple[str, int], int], found: Violations
) -> None:
    """The group that routes stands at the end of all there is to be routed."""
    for (topic, partition), end in ends.items():
        offset = committed[topic, partition]
        if offset != end:
            found.add(
                "committed offset", f"{topic}[{partition}]: committed {offset}, ends at {end}"
            )


def check_dead_letters(inputs: Inputs, letters: Sequence[Any], found: Violations) -> None:
    """Each bad record has one dead letter: its bytes, where it stood and why."""
    seen: Counter[tuple[str, int, int]] = Counter()
    for message in letters:
        headers: Headers = message.headers() or []
        own = {name: (value or b"").decode() for name, value in headers if name[:5] == "weir."}
        place = (
            own.get("weir.topic", "?"),
            int(own.get("weir.partition", -1)),
            int(own.get("weir.offset", -1)),
        )
        seen[place] += 1
        bad = inputs.bad.get(place)
        name = f"dead letter of {place[0]}[{place[1]}]@{place[2]}"
        if bad is None:
            found.add("invented dead letter", f"{name}: {own.get('weir.detail')}")
            continue
        if own["weir.reason"] != bad.reason:
            detail = f"{name}: reason {own['weir.reason']}, should be {bad.reason}"
            found.add("dead letter's reason", detail)
        if own.get("weir.last_offset") != (None if bad.last is None else str(bad.last)):
            detail = f"{name}: ends at {own.get('weir.last_offset')}, should be {bad.last}"
            found.add("dead letter's content", detail)
        rest = [each for each in headers if each[0][:5] != "weir."]
        if (message.key(), message.value(), rest) != (bad.key, bad.value, bad.headers):
            found.add("dead letter's content", f"{name} is not the original record")
    for place, bad in inputs.bad.items():
        if seen[place] != 1:
            kind = "lost dead letter" if not seen[place] else "duplicated dead letter"
            found.add(kind, f"{place[0]}[{place[1]}]@{place[2]} ({bad.reason}): {seen[place]}")


def check_inputs(inputs: Inputs, delivered: dict[tuple[str, int], int], found: Violations) -> None:
    """The broker kept what it acknowledged; otherwise the campaign proves nothing."""
    for place, count in delivered.items():
        if inputs.count.get(place, 0) != count:
            detail = f"{place}: {inputs.count.get(place, 0)} records, {count} were acknowledged"
            found.add("input changed", detail)


def _rows(*columns: Any) -> NDArray[np.int64]:
    return np.stack([np.array(column, np.int64) for column in columns], axis=1)


def _by_key(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    return rows[np.argsort(rows[:, 2], kind="stable")]


def _outputs(part: Answers) -> tuple[Any, ...]:
    return part.scores, part.probabilities, part.anomalies


def _bits(values: Any) -> NDArray[np.int64]:
    return np.array(values, np.float32).view(np.int32).astype(np.int64)


def _same(name: str, actual: NDArray[np.float32], wanted: NDArray[np.float32]) -> NDArray[np.bool_]:
    same: NDArray[np.bool_] = (actual == wanted) | (np.isnan(actual) & np.isnan(wanted))
    if name in _ROUNDED:
        same |= np.isclose(actual, wanted, rtol=_RELATIVE, atol=0.0)
    return same
