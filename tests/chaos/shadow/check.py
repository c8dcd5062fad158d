"""Checks the shadow scores against the feature log, which has been checked before.

Nothing here calls Weir: a candidate's graph runs in a plain session of ONNX Runtime.
"""

import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tests.chaos.commander import FIRST_POLICY, Command
from tests.chaos.configuration import TOPICS
from tests.chaos.served import LAG_MS, TOLERANCE, Registered
from tests.chaos.shadow.candidates import key_of
from tests.chaos.shadow.transcript import Said, Shadowed
from tests.chaos.transcript import Answers
from tests.chaos.violations import Violations

_NEAR = 8
"""Of a record that was shed whole, so many records before and behind it say what share was kept."""


@dataclass
class ShadowReport:
    """What was found out about the shadow.

    Attributes:
        events: of the feature log.
        scored: of these, with one shadow score or more.
        shed, dead_lettered: of these, left out since the shadow lagged; or as unreadable.
        asked_nobody: shadow scores without a candidate: none was ready.
        answers: of candidates, by ``NAME MODEL``; all computed again.
        same: of these, by the very model that answered the event; score and probability are equal
            to the last bit.
        errors: shadow scores that say a candidate gave no answer.
        gathered: pairs in the evidence of the second stage.
    """

    events: int = 0
    scored: int = 0
    shed: int = 0
    dead_lettered: int = 0
    asked_nobody: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    same: int = 0
    errors: int = 0
    gathered: int = 0


def dead_lettered(letters: Sequence[Any]) -> set[tuple[int, int]]:
    """Partition and offset of each event in records of the feature log among the dead letters."""
    places = set()
    for message in letters:
        headers = dict(message.headers() or [])
        if headers.get("weir.topic") != TOPICS["feature_log"].encode():
            continue
        table = pa.ipc.open_stream(io.BytesIO(message.value())).read_all()
        partition = int(headers["weir.partition"])
        places |= {(partition, offset) for offset in table["offset"].to_pylist()}
    return places


def check_shadow(
    log: Sequence[Answers],
    shadowed: Sequence[Shadowed],
    dead: set[tuple[int, int]],
    models: Mapping[str, Registered],
    given: Mapping[str, Sequence[Command]],
    found: Violations,
) -> ShadowReport:
    """Each event of the feature log stands in the shadow scores once, as it is, unless it was shed.

    Args:
        dead: partition and offset of events that went to the dead letters.
        models: by the name that answers give them.
        given: commands by key.
    """
    report = ShadowReport()
    for partition, (logged, said) in enumerate(zip(log, shadowed, strict=True)):
        place = f"{TOPICS['shadow_scores']}: {TOPICS['events']}[{partition}]@"
        check = _Partition(logged, said, place, report, found)
        check.set(dead={offset for number, offset in dead if number == partition})
        check.fields()
        for (name, model, policy), answers in said.candidates.items():
            report.answers[f"{name} {model}"] += len(answers.offsets)
            check.named(name, model, answers, given.get(key_of(name), ()))
            if policy != FIRST_POLICY or model not in models:
                detail = f"{place}: by model {model} and policy {policy}"
                found.add("wrong candidate", detail, len(answers.offsets))
                continue
            check.answers(name, model, models[model], answers)
        report.asked_nobody += said.asked_nobody
        report.errors += said.errors.total()
    return report


class _Partition:
    """One partition of events, in the feature log and in the shadow scores."""

    def __init__(
        self, log: Answers, said: Shadowed, place: str, report: ShadowReport, found: Violations
    ) -> None:
        self._log, self._said, self._place = log, said, place
        self._report, self._found = report, found
        offsets = np.array(log.offsets, np.int64)
        self._offsets, self._rows = np.unique(offsets, return_index=True)
        self._record = np.repeat(
            np.arange(len(log.features)), [len(matrix) for _, matrix in log.features]
        )

    def rows_of(self, offsets: Any) -> NDArray[np.int64]:
        """Rows of the feature log at these offsets of events; -1 where there is none."""
        wanted = np.array(offsets, np.int64)
        if not self._offsets.size:
            return np.full(wanted.size, -1)
        at = np.minimum(np.searchsorted(self._offsets, wanted), self._offsets.size - 1)
        return np.where(self._offsets[at] == wanted, self._rows[at], -1)

    def set(self, dead: set[int]) -> None:
        """Each event once; those that are not there were shed, or are dead letters."""
        found, place, report = self._found, self._place, self._report
        values, counts = np.unique(np.array(self._said.offsets, np.int64), return_counts=True)
        for offset, count in zip(values[counts > 1].tolist(), counts[counts > 1], strict=True):
            found.add("shadow: doubled", f"{place}{offset}: {count} times", int(count) - 1)
        rows = self.rows_of(values)
        for offset in values[rows < 0].tolist():
            found.add("shadow: invented", f"{place}{offset}: is not in the feature log")
        missing = np.setdiff1d(np.arange(len(self._log.offsets)), rows)
        dropped = np.array([self._log.offsets[row] in dead for row in missing.tolist()], bool)
        missing, dead_rows = missing[~dropped], missing[dropped]
        shed = self._hash(missing) >= self._kept()[self._record[missing]]
        for row in missing[~shed].tolist():
            offset, event = self._log.offsets[row], self._log.ids[row]
            found.add("shadow: lost", f"{place}{offset}: event {event} has no shadow score")
        report.events += len(self._log.offsets)
        report.scored += int(np.count_nonzero(rows >= 0))
        report.shed += int(np.count_nonzero(shed))
        report.dead_lettered += dead_rows.size

    def fields(self) -> None:
        """What each score says of the champion is what the feature log says."""
        rows = self.rows_of(self._said.offsets)
        there = np.flatnonzero(rows >= 0)
        rows = rows[there]
        wrong = np.zeros(there.size, bool)
        for mine, theirs in zip(_columns(self._said), _columns(self._log), strict=True):
            wrong |= mine[there] != theirs[rows]
        for mine, theirs in (
            (self._said.served, self._log.served),
            (self._said.arms, self._log.arms),
        ):
            pairs = zip(there.tolist(), rows.tolist(), strict=True)
            wrong |= np.fromiter((mine[a] != theirs[b] for a, b in pairs), bool, there.size)
        if wrong.any():
            offset = self._said.offsets[there[np.flatnonzero(wrong)[0]]]
            detail = f"{self._place}{offset}: is not what the feature log says"
            self._found.add("shadow: differs from log", detail, int(wrong.sum()))
        kept = np.array(self._said.kept)
        lagging = np.flatnonzero(kept[there] < 1.0)
        left = self._hash(rows[lagging]) >= kept[there[lagging]]
        if left.any():
            detail = f"{self._place}{self._log.offsets[rows[lagging][left][0]]}: was to be shed"
            self._found.add("shadow: not shed", detail, int(left.sum()))

    def named(self, name: str, model: str, said: Said, given: Sequence[Command]) -> None:
        """This model was a candidate under this name when it answered, or had been until lately."""
        written = np.array(said.written, np.int64)
        right = np.zeros(written.size, bool)
        for number, command in enumerate(given):
            if model in command.right:
                until = given[number + 1].taken + LAG_MS if number + 1 < len(given) else np.inf
                right |= (written >= command.said) & (written <= until)
        if not right.all():
            row = int(np.flatnonzero(~right)[0])
            detail = f"{self._place}{said.offsets[row]}: {name} is not {model} at {written[row]}"
            self._found.add("wrong candidate", detail, int((~right).sum()))

    def answers(self, name: str, model: str, registered: Registered, said: Said) -> None:
        """What a candidate says is what its package says of the vector that the champion saw."""
        rows = self.rows_of(said.offsets)
        there = rows >= 0
        rows = rows[there]
        outputs = [np.array(column, np.float32)[there] for column in said.outputs]
        right = registered.answers(registered.names, self._features(registered.names)[rows])
        wrong = np.zeros(rows.size, bool)
        for mine, theirs in zip(outputs, right, strict=True):
            wrong |= ~(np.abs(mine - theirs) <= TOLERANCE)
        self._note("shadow: answer is not its model's", name, model, rows, wrong)
        decided = np.array(said.decisions, np.int64)[there]
        wrong = decided != registered.decide({}, outputs[1], outputs[2])
        self._note("shadow: wrong decision", name, model, rows, wrong)
        own = np.array([self._log.served[row][0] == model for row in rows.tolist()], bool)
        wrong = np.zeros(rows.size, bool)
        # Not the anomaly: ONNX Runtime rounds it by where in its batch a row stands, by 1e-7.
        for mine, column in zip(outputs[:2], _outputs(self._log)[:2], strict=True):
            wrong |= own & (mine.view(np.int32) != column[rows])
        self._note("shadow: other bits than the champion", name, model, rows, wrong)
        self._report.same += int((own & ~wrong).sum())

    def _note(
        self, kind: str, name: str, model: str, rows: NDArray[np.int64], wrong: NDArray[np.bool_]
    ) -> None:
        if wrong.any():
            offset = self._log.offsets[rows[np.flatnonzero(wrong)[0]]]
            self._found.add(kind, f"{self._place}{offset}: {name} ({model})", int(wrong.sum()))

    def _features(self, names: Sequence[str]) -> NDArray[np.float32]:
        return np.concatenate(
            [matrix[:, [each.index(name) for name in names]] for each, matrix in self._log.features]
        )

    def _hash(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Where events stand among all, by which those are chosen that are kept."""
        ids = (self._log.ids[row] for row in rows.tolist())
        return np.array([crc32(str(each).encode()) / 2**32 for each in ids])

    def _kept(self) -> NDArray[np.float64]:
        """The share that was kept of each record of the feature log, by what is there of it."""
        kept = np.full(len(self._log.features), np.inf)
        rows = self.rows_of(self._said.offsets)
        there = rows >= 0
        np.minimum.at(kept, self._record[rows[there]], np.array(self._said.kept)[there])
        gone = np.flatnonzero(np.isinf(kept))
        known = np.flatnonzero(np.isfinite(kept))
        at = np.searchsorted(known, gone)
        for record, place in zip(gone.tolist(), at.tolist(), strict=True):
            near = kept[known[max(0, place - _NEAR) : place + _NEAR]]
            kept[record] = near.min(initial=1.0)
        return kept


def _outputs(part: Answers) -> list[NDArray[np.int32]]:
    columns = (part.scores, part.probabilities, part.anomalies)
    return [np.array(column, np.float32).view(np.int32) for column in columns]


def _columns(part: Answers) -> list[NDArray[Any]]:
    exact = (part.ids, part.times, part.keys, part.decisions)
    return [*(np.array(column, np.int64) for column in exact), *_outputs(part)]
