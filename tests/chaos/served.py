"""Checks which model and policy gave each answer: whether it is theirs, and was theirs to give.

Nothing here calls Weir: a registered graph runs in a plain session of ONNX Runtime.
"""

import json
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from tests.chaos import arms
from tests.chaos.arms import ArmsOfKeys, Experiment
from tests.chaos.commander import CANARY, CHAMPION, POLICY, Command
from tests.chaos.configuration import TOPICS
from tests.chaos.transcript import DECISIONS, Answers
from tests.chaos.violations import Violations

LAG_MS = 60_000
"""An answer may be by what was right so long ago, where a scorer was late to learn of the change:
it is suspended for up to half of that, and the broker is away for some of it."""

TOLERANCE = 1e-5
_WHAT = {CHAMPION: "model", POLICY: "policy", CANARY: "arm"}
_OUTPUTS = ("score", "probability", "anomaly")


@dataclass(frozen=True)
class Registered:
    """A model as its package's files say.

    Attributes:
        names: of the features that the graph reads.
        bounds: probabilities from which a decision falls, by ``review`` and ``decline``.
        table: such probabilities by alert rate.
    """

    session: onnxruntime.InferenceSession
    names: tuple[str, ...]
    bounds: dict[str, float]
    table: dict[float, float]

    @classmethod
    def load(cls, folder: Path) -> "Registered":
        """Read the files of a package."""
        thresholds = json.loads((folder / "thresholds.json").read_bytes())
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        return cls(
            onnxruntime.InferenceSession(
                (folder / "model.onnx").read_bytes(), options, providers=["CPUExecutionProvider"]
            ),
            tuple(json.loads((folder / "features.json").read_bytes())["names"]),
            {name: thresholds[name] for name in ("review", "decline")},
            {row["alert_rate"]: row["probability"] for row in thresholds["table"]},
        )

    def answers(self, names: Sequence[str], features: NDArray[np.float32]) -> list[Any]:
        """Score, probability and anomaly of each row, by features of these names."""
        place = {name: i for i, name in enumerate(names)}
        columns = np.ascontiguousarray(features[:, [place[name] for name in self.names]])
        return self.session.run(_OUTPUTS, {"features": columns})

    def decide(
        self,
        policy: Mapping[str, Any],
        probability: NDArray[np.float32],
        anomaly: NDArray[np.float32],
    ) -> NDArray[np.int64]:
        """Codes of the decisions that a policy takes."""
        review = probability >= self._bound(policy, "review")
        review |= anomaly >= np.float32(policy.get("anomaly_review", inf))
        codes = np.where(review, DECISIONS.index("review"), DECISIONS.index("approve"))
        codes[probability >= self._bound(policy, "decline")] = DECISIONS.index("decline")
        return codes

    def _bound(self, policy: Mapping[str, Any], decision: str) -> np.float32:
        if (said := policy.get(f"{decision}_probability")) is not None:
            return np.float32(said)
        if (rate := policy.get(f"{decision}_alert_rate")) is not None:
            return np.float32(self.table[rate] if rate else inf)
        return np.float32(self.bounds[decision])


@dataclass
class Served:
    """What was found out about who answered.

    Attributes:
        recomputed: answers that were computed again.
        models, policies: how many answers each gave.
        changes: times at which a partition went over to another model or policy.
        went_back: times at which it went back to what had been right before; only another scorer
            that had not learned of the change may do so.
        lag_ms: the longest time after which something was still used that was right no more.
        by_canary: answers of a canary.
        stood_in: answers of the champion for keys of a canary.
    """

    recomputed: int = 0
    models: Counter[str] = field(default_factory=Counter)
    policies: Counter[str] = field(default_factory=Counter)
    changes: int = 0
    went_back: int = 0
    lag_ms: int = 0
    by_canary: int = 0
    stood_in: int = 0


def check_served(
    log: Sequence[Answers],
    models: Mapping[str, Registered],
    policies: Mapping[str, Mapping[str, Any]],
    given: Mapping[str, Sequence[Command]],
    experiments: Mapping[str, Experiment],
    keys: ArmsOfKeys,
    found: Violations,
    lag_ms: int = LAG_MS,
) -> Served:
    """Check all answers of the feature log; see docs/chaos.md for what is right.

    Args:
        models: by the name that answers give them.
        policies: what each version said.
        given: commands by key, in the order of the control topic.
        experiments: what commands of the canary said.
    """
    served, of_share = Served(), arms.of_share(experiments)
    for partition, part in enumerate(log):
        known = 0
        turns = {kind: _Turns(kind, given[kind], lag_ms) for kind in _WHAT}
        policy_of_canary = _Turns(POLICY, given[POLICY], lag_ms)
        for names, matrix in part.features:
            rows = slice(known, known + len(matrix))
            known += len(matrix)
            # One record of the log: one model, one policy, one time.
            model, policy = part.served[rows.start]
            place = f"{TOPICS['events']}[{partition}]@{part.offsets[rows.start]}"
            served.models[model] += len(matrix)
            served.policies[policy] += len(matrix)
            by_canary = False
            for name in dict.fromkeys(of_share.get(arm, arms.UNKNOWN) for arm in part.arms[rows]):
                # A record may hold answers from before and after a step.
                if problem := turns[CANARY].take(name, part.written[rows.start]):
                    found.add(problem[0], f"{place}: {problem[1]}", len(matrix))
                by_canary = name in experiments and experiments[name].model == model
            by_canary &= all(arm == arms.CANARY_ARM for arm, _ in part.arms[rows])
            for row in range(rows.start, rows.stop):
                name = of_share.get(part.arms[row], "")
                right = keys.arm(name, experiments.get(name), part.keys[row])
                if part.arms[row][0] != right:
                    found.add("wrong arm", f"{place}: {part.arms[row]}, and its key is {right}'s")
            answerers = [(turns[CHAMPION], model), (turns[POLICY], policy)]
            if by_canary:
                served.by_canary += len(matrix)
                answerers = [(policy_of_canary, policy)]
            for turn, name in answerers:
                if problem := turn.take(name, part.written[rows.start]):
                    found.add(problem[0], f"{place}: {problem[1]}", len(matrix))
            if model not in models or policy not in policies:
                continue  # reported above: no command ever named it
            outputs = [
                np.array(column[rows], np.float32)
                for column in (part.scores, part.probabilities, part.anomalies)
            ]
            _check_outputs(models[model], model, names, matrix, outputs, place, found)
            decided = np.array(part.decisions[rows], np.int64)
            wrong = decided != models[model].decide(policies[policy], outputs[1], outputs[2])
            if wrong.any():
                row = int(np.flatnonzero(wrong)[0])
                detail = (
                    f"{place}+{row}: {DECISIONS[decided[row]]} at probability {outputs[1][row]:g} "
                    f"by policy {policy} and model {model}"
                )
                found.add("wrong decision", detail, int(wrong.sum()))
            served.recomputed += len(matrix)
        for turn in turns.values():
            served.changes += turn.changes
            served.went_back += turn.went_back
            served.lag_ms = max(served.lag_ms, turn.longest_lag_ms)
    return served


def check_last(
    log: Sequence[Answers], first_id: int, model: str, policy: str, found: Violations
) -> int:
    """What was sent after all scorers obeyed the last commands is answered by these.

    Args:
        first_id: the first event that was sent then; ids ascend.

    Returns:
        how many such events there are.
    """
    seen = 0
    for partition, part in enumerate(log):
        for place, pair in _rows(part):
            if part.ids[place] < first_id:
                continue
            seen += 1
            if pair != (model, policy):
                where = f"{TOPICS['events']}[{partition}]@{part.offsets[place]}"
                found.add("last command not obeyed", f"{where}: answered by {pair}")
    return seen


class _Turns:
    """Follows one partition: which command each of its answers obeys."""

    def __init__(self, kind: str, commands: Sequence[Command], lag_ms: int) -> None:
        self._kind, self._commands, self._allowed_ms = kind, commands, lag_ms
        self._said = [command.said for command in commands]
        self._now = 0
        self._name = ""
        self.changes = self.went_back = self.longest_lag_ms = 0

    def take(self, name: str, time: int) -> tuple[str, str] | None:
        """The next answer is by `name`, and was written at `time`; what is wrong with that."""
        what = _WHAT[self._kind]
        self.changes += name != self._name and self._name != ""
        self._name = name
        until = bisect_right(self._said, time)  # those that had been given by then
        ahead = [i for i in range(self._now, until) if name in self._commands[i].right]
        behind = [i for i in range(self._now) if name in self._commands[i].right]
        if not ahead and not behind:
            return f"wrong {what}", f"{name}, which no command had named until {time}"
        if ahead:
            self._now = ahead[0]
        else:
            self._now = behind[-1]
            self.went_back += 1
        # The latest command that it may obey says how far behind it is.
        latest = (ahead or behind)[-1]
        lag = 0
        if latest + 1 < len(self._commands):
            lag = max(0, time - self._commands[latest + 1].taken)
        self.longest_lag_ms = max(self.longest_lag_ms, lag)
        if lag > self._allowed_ms:
            return f"outdated {what}", f"{name}, {lag / 1e3:.1f} s after another had become right"
        return None


def _rows(part: Answers) -> Iterator[tuple[int, tuple[str, str]]]:
    return enumerate(part.served)


def _check_outputs(
    registered: Registered,
    model: str,
    names: Sequence[str],
    features: NDArray[np.float32],
    outputs: Sequence[NDArray[np.float32]],
    place: str,
    found: Violations,
) -> None:
    for name, said, right in zip(
        _OUTPUTS, outputs, registered.answers(names, features), strict=True
    ):
        wrong = ~(np.abs(said - right) <= TOLERANCE)
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            detail = f"{place}+{row}: {name} {said[row]:.9g}, {model} says {right[row]:.9g}"
            found.add("answer is not its model's", detail, int(wrong.sum()))
