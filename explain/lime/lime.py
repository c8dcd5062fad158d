"""LIME as a constant operator: explains answers of a package's model; see `perturbation_design`."""

import numpy as np
from numpy.typing import NDArray

from explain.lime import kernels
from explain.lime.explanation import Explanation
from explain.lime.model_queries import Samples, TreeSamples, samples_of
from explain.lime.perturbation_design import Design, draw
from explain.lime.settings import ExplainSettings
from inference.packages.package import ModelPackage

_DRAWS = 16
"""Seeds that stability is judged by: 120 pairs of them."""

_DIGITS = 6


class Lime:
    """Explains answers of one model.

    The same event has the same explanation, to the bit, alone or in a batch, on any thread.

    Args:
        package: the model.
        settings: the ``[explain]`` section.

    Attributes:
        design: what the model is asked, and how its answers are read.

    Raises:
        ExplainError: the settings do not fit the package.
    """

    def __init__(self, package: ModelPackage, settings: ExplainSettings) -> None:
        self.design: Design = draw(package, settings)
        self._settings = settings
        self._samples: Samples = samples_of(package, self.design)
        groups = len(self.design.groups.names)
        self._top = min(settings.top, groups)
        self._draws = np.random.default_rng(settings.seed).standard_normal((_DRAWS, groups))

    def explain(self, rows: NDArray[np.float32]) -> list[Explanation]:
        """Explain the answers to events (n, k) in the package's columns."""
        own = self._samples.own(rows)
        return [self._one(row, float(answer)) for row, answer in zip(rows, own, strict=True)]

    @property
    def asks_trees(self) -> bool:
        """Whether the model's score is a function of its trees alone."""
        return isinstance(self._samples, TreeSamples)

    def answer(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """The model's log-odds (n,) of rows (n, k)."""
        return self._samples.own(rows)

    def warm_up(self) -> None:
        """Compile the kernels, or load them from disk."""
        self.explain(self.design.drawn[:1])

    def _one(self, row: NDArray[np.float32], log_odds: float) -> Explanation:
        design = self.design
        m, p = design.operator.shape
        coefficients, residual = np.empty(p), np.empty(m)
        r2, error = kernels.fit(
            self._samples.mixed(row),
            design.operator,
            design.regressors,
            design.weights,
            design.idle,
            design.runs,
            coefficients,
            residual,
        )
        effects = np.ascontiguousarray(coefficients[1:])
        vsi, csi = kernels.stability(
            effects, error, self._draws, self._top, np.empty(self._draws.shape, np.bool_)
        )
        # Beyond these digits, processors and their libraries of mathematics may differ.
        baseline, *attributions = (round(each, _DIGITS) for each in coefficients.tolist())
        local = round(baseline + sum(attributions), _DIGITS)
        least, ess = self._settings.confidence, design.ess
        return Explanation(
            log_odds=round(float(log_odds), _DIGITS),
            baseline=baseline,
            local=local,
            attributions=tuple(attributions),
            error=round(float(error), _DIGITS),
            r2=round(float(r2), _DIGITS),
            ess=round(ess, _DIGITS),
            vsi=round(float(vsi), _DIGITS),
            csi=round(float(csi), _DIGITS),
            confident=bool(
                r2 >= least.r2
                and ess >= least.ess
                and vsi >= least.vsi
                and abs(local - log_odds) <= least.gap
            ),
        )
