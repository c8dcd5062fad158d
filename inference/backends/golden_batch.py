"""The golden batch: what a new engine has to answer before it may answer events."""

from collections.abc import Sequence

import numpy as np

from inference.engine.onnx_session import RunSwitch, load_session, run_session
from inference.engine.protocol import TOLERANCE, Engine, EngineError
from inference.packages.package import ModelPackage

_ROWS = 256


def check_golden(
    engine: Engine,
    package: ModelPackage,
    feature_names: Sequence[str],
    switch: RunSwitch | None = None,
) -> None:
    """Compare an engine's answers to rows of the package's background with plain ONNX Runtime's.

    Args:
        feature_names: of the vectors that the engine takes.
        switch: ends it, from another thread.

    Raises:
        EngineError: they differ by more than the engine's precision allows, or are no numbers
            in 0..1.
    """
    rows = package.background[:_ROWS]
    place = {name: i for i, name in enumerate(feature_names)}
    vectors = np.full((len(rows), len(feature_names)), np.nan, np.float32)
    vectors[:, [place[name] for name in package.features.names]] = rows
    session = load_session(package.model, f"model {package.short_id}")
    expected = run_session(session, rows, switch)
    answers = engine.infer(vectors)
    allowed = TOLERANCE[engine.info.precision]
    for name, values, right in zip(answers._fields, answers, expected, strict=True):
        # Not `>`: what is no number fails, too.
        if not (np.abs(values - right) <= allowed).all():
            worst = float(np.abs(values - right).max())
            raise EngineError(
                f"model {package.short_id}: on {engine.info.device} the golden batch's {name} "
                f"is off by {worst:g}, where {engine.info.precision} allows {allowed:g}: the "
                "package is damaged, or does not fit this engine"
            )
        if not ((values >= 0) & (values <= 1)).all():
            raise EngineError(
                f"model {package.short_id}: its {name} on the golden batch leaves 0..1"
            )
