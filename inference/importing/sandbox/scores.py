"""Which output is the fraud score, and of what kind."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.importing.sandbox.options import ScoreKind
from inference.importing.sandbox.outputs import ModelOutput
from inference.importing.sandbox.running import Answers
from inference.importing.static.refusal import ImportRefusedError

_FRAUD = {"1", "true", "fraud", "fraudulent"}
_NEGATIVE = {"0", "-1", "false"}


@dataclass(frozen=True)
class ScoreChoice:
    """Where the score stands.

    Attributes:
        output: its name in the file.
        tensor: its name in the graph.
        column: of the tensor, None where that is of shape (n,).
        against: for two logits, the column of the other one, that is subtracted.
        kind: ``probability``, or ``logit`` for log-odds.
    """

    output: str
    tensor: str
    column: int | None
    against: int | None
    kind: ScoreKind

    def of(self, answers: Answers) -> NDArray[np.float64]:
        """Return the raw score (n,) among a model's answers."""
        values = answers[self.tensor].astype(np.float64)
        if self.column is None:
            return values
        score = values[:, self.column]
        return score if self.against is None else score - values[:, self.against]


def choose_score(
    outputs: Sequence[ModelOutput],
    answers: Answers,
    score: str | None,
    kind: ScoreKind | None,
    fraud_class: str | None,
) -> ScoreChoice:
    """Choose the output that is the score: the one asked for, or the only one that can be.

    Raises:
        ImportRefusedError: the output is not there or no score, or more than one can be.
    """
    if score is not None:
        named = [output for output in outputs if output.name == score]
        if not named:
            raise ImportRefusedError(
                "outputs", f"there is no score in {score!r}", _options(outputs, answers)
            )
        return _choose(named[0], answers, kind, fraud_class)
    able = [output for output in outputs if answers[output.tensor][0].size in (1, 2)]
    if len(able) > 1:
        pairs = [output for output in able if _is_pair(answers[output.tensor])]
        able = pairs if len(pairs) == 1 else able
    if len(able) != 1:
        what = "more than one output" if able else "no output has one or two columns, and none"
        raise ImportRefusedError(
            "outputs", f"{what} can be the fraud score", _options(outputs, answers)
        )
    return _choose(able[0], answers, kind, fraud_class)


def _choose(
    output: ModelOutput, answers: Answers, kind: ScoreKind | None, fraud_class: str | None
) -> ScoreChoice:
    values = answers[output.tensor]
    place = f"output {output.name!r}"
    if values.ndim > 2:
        raise ImportRefusedError(
            place, f"it has {values.ndim} dimensions, and a score has one per event", "Export (n,)"
        )
    if not np.isfinite(values).any():
        raise ImportRefusedError(
            place,
            "not one golden row has a finite number for an answer",
            "Export the trained model again: weights that are no numbers give no score",
        )
    if values[0].size == 1:
        if kind == "probability":
            _check_probability(place, values)
        chosen = kind or _kind_of_single(place, values, output)
        column = None if values.ndim == 1 else 0
        return ScoreChoice(output.name, output.tensor, column, None, chosen)
    column = _fraud_column(place, output, values.shape[1], fraud_class)
    if kind == "logit" and values.shape[1] > 2:
        raise ImportRefusedError(
            place,
            f"log-odds of one among {values.shape[1]} classes are not in its columns",
            "Export probabilities (softmax), and use --score-kind probability",
        )
    if kind == "logit":
        against = 1 - column if values.shape[1] == 2 else None
        return ScoreChoice(output.name, output.tensor, column, against, kind)
    if kind is None and not _is_pair(values):
        raise ImportRefusedError(
            place,
            f"its {values.shape[1]} columns are no probabilities of two classes that add up to 1",
            f"Say what it is: --score {output.name} --score-kind probability, or logit",
        )
    if kind == "probability":
        _check_probability(place, values[:, column])
    return ScoreChoice(output.name, output.tensor, column, None, "probability")


def _kind_of_single(place: str, values: NDArray[np.generic], output: ModelOutput) -> ScoreKind:
    if not _in_unit(values):
        raise ImportRefusedError(
            place,
            "its answers are not all in 0..1: they may be log-odds, or another measure",
            f"Say what it is: --score {output.name} --score-kind logit (the score is then "
            "1 / (1 + exp(-x)), which --calibrate can put right)",
        )
    return "probability"


def _check_probability(place: str, values: NDArray[np.generic]) -> None:
    if not _in_unit(values):
        raise ImportRefusedError(
            place, "its answers are not all in 0..1", "If they are log-odds: --score-kind logit"
        )


def _in_unit(values: NDArray[np.generic]) -> bool:
    finite = np.asarray(values, np.float64)
    finite = finite[~np.isnan(finite)]
    return bool(finite.size and finite.min() >= -1e-5 and finite.max() <= 1 + 1e-5)


def _is_pair(values: NDArray[np.generic]) -> bool:
    """Whether these are probabilities of two classes."""
    if values.ndim != 2 or values.shape[1] != 2 or not _in_unit(values):
        return False
    sums = np.asarray(values, np.float64).sum(axis=1)
    return bool(np.allclose(sums[~np.isnan(sums)], 1, atol=5e-3))


def _fraud_column(place: str, output: ModelOutput, width: int, fraud_class: str | None) -> int:
    classes = output.classes if output.classes and len(output.classes) == width else None
    names = [name.lower() for name in classes or map(str, range(width))]
    if fraud_class is not None:
        if fraud_class.lower() in names:
            return names.index(fraud_class.lower())
    elif width == 2:
        frauds = [i for i, name in enumerate(names) if name in _FRAUD]
        # "1" among {"1", "2"} says nothing, and neither does "fraud" among kinds of fraud.
        if len(frauds) == 1 and (names[frauds[0]] not in ("1", "true") or set(names) & _NEGATIVE):
            return frauds[0]
    raise ImportRefusedError(
        place,
        f"which of its classes is fraud is not clear: {', '.join(classes or names)}",
        "Say it with --fraud-class",
    )


def _options(outputs: Sequence[ModelOutput], answers: Answers) -> str:
    listed = ", ".join(
        f"{output.name} {answers[output.tensor].dtype}"
        f"(n{''.join(f', {size}' for size in answers[output.tensor].shape[1:])})"
        for output in outputs
    )
    return f"Choose with --score OUTPUT --score-kind probability|logit among: {listed}"
