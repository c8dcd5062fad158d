"""Everything that is found out of an exported model, in a process that it may bring down."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto

from inference.importing.sandbox.core import Preparation, build_core, free_batch
from inference.importing.sandbox.golden import (
    check_repeatable,
    check_row_by_row,
    difference,
    golden_rows,
    odd_rows,
)
from inference.importing.sandbox.options import ScoreKind
from inference.importing.sandbox.outputs import ModelOutput, expose, read_outputs
from inference.importing.sandbox.running import Answers, Runner
from inference.importing.sandbox.scores import ScoreChoice, choose_score
from inference.importing.sandbox.signature import ModelInput, choose_features, names_in, read_inputs
from inference.importing.static.check import Check
from inference.importing.static.checking import read_checked
from inference.importing.static.limits import Limits
from inference.importing.static.refusal import ImportRefusedError

_TOLERANCE = 1e-5
_HALF_TOLERANCE = 5e-3
_LARGE_BATCH = 4_096


@dataclass(frozen=True)
class Request:
    """What is asked of a file.

    Attributes:
        declared: names of all features that there are.
        features: those that the model reads, in its order; None finds out.
        score: the output with the fraud score; None finds out.
        kind: what that is; None finds out.
        fraud_class: the class that is fraud, by its name or number; None finds out.
        anomaly: the output with an anomaly measure, or None.
        fill, mean, scale: as in `Preparation`, for all declared features.
    """

    declared: tuple[str, ...]
    features: tuple[str, ...] | None = None
    score: str | None = None
    kind: ScoreKind | None = None
    fraud_class: str | None = None
    anomaly: str | None = None
    fill: tuple[float, ...] | None = None
    mean: tuple[float, ...] | None = None
    scale: tuple[float, ...] | None = None
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True)
class Inspection:
    """What was found.

    Attributes:
        sha256: of the file.
        features: names of the columns that the model reads.
        producer: who exported it, and with which version.
        opset: of each domain that the file names.
        score: name of the output that is the score.
        kind: what it is.
        missing: whether rows with missing values have an answer.
        checks: what was looked at.
    """

    sha256: str
    features: tuple[str, ...]
    producer: str
    opset: dict[str, int]
    score: str
    kind: ScoreKind
    missing: bool
    checks: tuple[Check, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self) | {"checks": [list(check) for check in self.checks]}


def inspect(
    path: Path, request: Request, seen: NDArray[np.float32] | None = None
) -> tuple[ModelProto, Inspection]:
    """Check a file, run its golden batch, and return the core of its package and what was found.

    Args:
        path: the .onnx file.
        request: what is asked of it.
        seen: rows (n, len(request.declared)) of the data, for the golden batch.

    Raises:
        ImportRefusedError: it can be no package; the place, the reason and the fix are named.
    """
    model, sha256, checks = read_checked(path, request.limits)
    opsets = {entry.domain or "ai.onnx": entry.version for entry in model.opset_import}
    checks.append(Check("opset", ", ".join(f"{name} {v}" for name, v in sorted(opsets.items()))))
    inputs = read_inputs(model)
    features = choose_features(inputs, request.declared, request.features, names_in(model))
    width = len(features)
    columns = [request.declared.index(name) for name in features]
    checks.append(Check("signature", _describe(inputs, width)))
    outputs = read_outputs(model)
    anomaly = _anomaly_output(outputs, request.anomaly)
    expose(model, outputs)
    preparation = _preparation(request, columns, inputs)
    rows = golden_rows(width, None if seen is None else seen[:, columns])
    if preparation.scale is not None and preparation.mean is not None and seen is None:
        rows = rows * preparation.scale + preparation.mean
    known = np.where(np.isnan(rows), np.float32(0), rows)
    prepared = preparation(known)
    tolerance = _HALF_TOLERANCE if _is_half(model) else _TOLERANCE
    answers, free, batch = _run_golden(model, inputs, prepared, tolerance)
    checks.append(Check("batch", batch))
    candidates = tuple(output for output in outputs if output.name != request.anomaly)
    score = choose_score(candidates, answers, request.score, request.kind, request.fraud_class)
    raw = score.of(answers)
    if np.nanmax(raw) == np.nanmin(raw):
        raise ImportRefusedError(
            f"output {score.output!r}",
            f"all {len(raw)} golden rows have the same answer: it does not depend on the features",
            "Choose another output with --score, or export the trained model",
        )
    checks.append(Check("score", f"{score.output}, {_column(score)}{score.kind}"))
    core = build_core(
        free,
        inputs,
        score=score,
        anomaly=anomaly,
        preparation=preparation,
        width=width,
        nesting=request.limits.nesting,
    )
    _compare(core, known, raw, tolerance, width)
    checks.append(
        Check("golden batch", f"{len(rows)} rows twice, one by one, and in the package: equal")
    )
    missing = _answers_missing(core, known, width)
    checks.append(Check("missing values", _missing_text(missing, preparation)))
    return core, Inspection(
        sha256=sha256,
        features=features,
        producer=f"{model.producer_name} {model.producer_version}".strip() or "unknown",
        opset=opsets,
        score=score.output,
        kind=score.kind,
        missing=missing,
        checks=tuple(checks),
    )


def _run_golden(
    model: ModelProto, inputs: tuple[ModelInput, ...], rows: NDArray[np.float32], tolerance: float
) -> tuple[Answers, ModelProto, str]:
    """Return the answers to the golden batch, the model with a free batch, and what was found."""
    batch, count = inputs[0].batch, len(rows)
    if batch is not None and count % batch:
        rows = np.concatenate([rows, np.repeat(rows[-1:], -len(rows) % batch, axis=0)])
    answers = check_repeatable(Runner(model, inputs), rows)
    free = ModelProto()
    free.CopyFrom(model)
    free_batch(free, inputs, rows.shape[1])
    if batch is None:
        found = "dynamic; no row depends on its neighbours"
        runner = Runner(free, inputs)
        check_row_by_row(runner, rows, answers, tolerance)
    else:
        found = f"was fixed at {batch}, freed: the same answers in batches of any size"
        _check_freed(free, inputs, rows, answers, tolerance, batch)
    return {name: values[:count] for name, values in answers.items()}, free, found


def _check_freed(
    free: ModelProto,
    inputs: tuple[ModelInput, ...],
    rows: NDArray[np.float32],
    answers: Answers,
    tolerance: float,
    batch: int,
) -> None:
    """Check that a model whose batch was fixed answers as before without that."""
    fixed = f"its batch is fixed at {batch}"
    fix = (
        "Export it with a dynamic batch: dynamic_shapes or dynamic_axes in PyTorch, None in Keras "
        "and scikit-learn"
    )
    try:
        runner = Runner(free, [_without_batch(each) for each in inputs])
        whole = runner(rows)
        check_row_by_row(runner, rows, whole, tolerance)
    except ImportRefusedError as error:
        raise ImportRefusedError("inputs", f"{fixed}, and {error.problem}", fix) from error
    for name, values in answers.items():
        if difference(whole[name], values) > tolerance:
            raise ImportRefusedError(
                "inputs", f"{fixed}, and without that {name!r} has other answers", fix
            )


def _compare(
    core: ModelProto,
    rows: NDArray[np.float32],
    raw: NDArray[np.float64],
    tolerance: float,
    width: int,
) -> None:
    """Check that the core of the package answers as the model did; and any numbers, and many."""
    runner = Runner(core, [_features(width)])
    worst = difference(runner(rows)["model_score"], raw.astype(np.float32))
    if worst > tolerance:
        raise ImportRefusedError(
            "answers",
            f"taken into a package they differ by up to {worst:.3g}",
            "Export it with opset_version=17",
        )
    runner(np.resize(rows, (_LARGE_BATCH, width)))
    runner(odd_rows(rows[-1]))  # whatever they are told, they are told something


def _answers_missing(core: ModelProto, rows: NDArray[np.float32], width: int) -> bool:
    """Whether a row has an answer whichever of its values is missing."""
    holes = np.repeat(rows[-1:], width, axis=0)
    np.fill_diagonal(holes, np.nan)
    answers = Runner(core, [_features(width)])(holes)
    return bool(np.isfinite(answers["model_score"]).all())


def _features(width: int) -> ModelInput:
    return ModelInput("features", TensorProto.FLOAT, "float32", 2, width, None)


def _without_batch(each: ModelInput) -> ModelInput:
    return ModelInput(each.name, each.element, each.dtype, each.rank, each.width, None)


def _anomaly_output(outputs: tuple[ModelOutput, ...], wanted: str | None) -> str | None:
    if wanted is None:
        return None
    for output in outputs:
        if output.name == wanted:
            return output.tensor
    raise ImportRefusedError(
        "outputs",
        f"there is no anomaly measure in {wanted!r}",
        f"Choose with --anomaly among: {', '.join(output.name for output in outputs)}",
    )


def _preparation(
    request: Request, columns: list[int], inputs: tuple[ModelInput, ...]
) -> Preparation:
    def pick(values: tuple[float, ...] | None) -> NDArray[np.float32] | None:
        return None if values is None else np.array(values, np.float32)[columns]

    whole = [each.name for each in inputs if each.whole]
    if whole and request.fill is None:
        raise ImportRefusedError(
            f"input {whole[0]!r}",
            "it takes whole numbers, among which there is none for a missing value",
            "Say what stands for them: --impute median, or --impute 0",
        )
    return Preparation(pick(request.fill), pick(request.mean), pick(request.scale))


def _is_half(model: ModelProto) -> bool:
    values = (*model.graph.input, *model.graph.output)
    half = TensorProto.FLOAT16
    return any(value.type.tensor_type.elem_type == half for value in values) or any(
        tensor.data_type == half for tensor in model.graph.initializer
    )


def _describe(inputs: tuple[ModelInput, ...], width: int) -> str:
    if len(inputs) > 1:
        return f"{len(inputs)} inputs of {width} columns in all: " + ", ".join(
            f"{each.name} {each.dtype}" for each in inputs
        )
    return f"{inputs[0].name} {inputs[0].dtype}(n, {width})"


def _column(score: ScoreChoice) -> str:
    return "" if score.column is None else f"column {score.column}, "


def _missing_text(missing: bool, preparation: Preparation) -> str:
    if preparation.fill is not None:
        return "filled in"
    return "have an answer" if missing else "have no answer: such events are reviewed"
