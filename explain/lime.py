"""LIME as a constant operator: explains answers of a package's model; see `explain.design`."""

import numpy as np
from numpy.typing import NDArray

from explain import kernels
from explain.design import Design, draw
from explain.explanation import Explanation
from explain.samples import Samples, samples_of
from explain.settings import ExplainSettings
from inference.engine import Engine
from inference.package import ModelPackage

_DRAWS = 16
"""Seeds that stability is judged by: 120 pairs of them."""


class Lime:
    """Explains answers of one model.

    The same event has the same explanation, to the bit, alone or in a batch, on any thread.

    Args:
        package: the model.
        settings: the ``[explain]`` section.
        engine: asks the model where trees alone do not tell its score; by default the CPU's.

    Attributes:
        design: what the model is asked, and how its answers are read.

    Raises:
        ExplainError: the settings do not fit the package.
    """

    def __init__(
        self, package: ModelPackage, settings: ExplainSettings, engine: Engine | None = None
    ) -> None:
        self.design: Design = draw(package, settings)
        self._settings = settings
        self._samples: Samples = samples_of(package, self.design, engine)
        groups = len(self.design.groups.names)
        self._top = min(settings.top, groups)
        self._draws = np.random.default_rng(settings.seed).standard_normal((_DRAWS, groups))

    def explain(self, rows: NDArray[np.float32]) -> list[Explanation]:
        """Explain the answers to events (n, k) in the package's columns."""
        own = self._samples.own(rows)
        return [self._one(row, float(answer)) for row, answer in zip(rows, own, strict=True)]

    def warm_up(self) -> None:
        """Compile the kernels, or load them from disk."""
        self.explain(self.design.drawn[:1])

    def _one(self, row: NDArray[np.float32], log_odds: float) -> Explanation:
        design, groups = self.design, len(self.design.groups.names)
        m, p = design.operator.shape
        coefficients, errors, residual = np.empty(p), np.empty(1 + groups), np.empty(m)
        r2 = kernels.fit(
            self._samples.mixed(row), design.operator, design.regressors, design.weights, groups,
            coefficients, errors, residual,
        )  # fmt: skip
        return self._explanation(log_odds, coefficients[: 1 + groups], errors, r2)

    def _explanation(
        self,
        log_odds: float,
        coefficients: NDArray[np.float64],
        errors: NDArray[np.float64],
        r2: float,
    ) -> Explanation:
        """Judge a fit: coefficients and errors (1 + g,) of the baseline and the groups."""
        effects = np.ascontiguousarray(coefficients[1:])
        vsi, csi = kernels.stability(
            effects, errors[1:], self._draws, self._top, np.empty(self._draws.shape, np.bool_)
        )
        baseline = float(coefficients[0])
        local = baseline + float(effects.sum())
        least, ess = self._settings.confidence, self.design.ess
        return Explanation(
            log_odds=float(log_odds),
            baseline=baseline,
            local=local,
            attributions=tuple(effects.tolist()),
            errors=tuple(errors[1:].tolist()),
            r2=float(r2),
            ess=ess,
            vsi=float(vsi),
            csi=float(csi),
            confident=bool(
                r2 >= least.r2
                and ess >= least.ess
                and vsi >= least.vsi
                and abs(local - log_odds) <= least.gap
            ),
        )
