"""How a package's answers are explained: by Weir's operator, or as the `lime` package does it."""

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from explain.lime.explanation import Explanation
from explain.lime.lime import Lime
from explain.lime.model_queries import LEAST_SCORE
from explain.lime.settings import ExplainSettings
from explain.record.parts import ExplainerPart, LimeExplainerPart
from explain.record.reason_settings import ReasonSettings
from explain.writing.part_builders import explainer_part, lime_explainer_part
from inference.packages.package import ModelPackage

_DIGITS = 6
"""Beyond these, processors and their libraries of mathematics may differ."""


class Method(Protocol):
    """Explains the answers of one package's model."""

    @property
    def groups(self) -> Mapping[str, Sequence[str]]:
        """The features of each group by its name, in the order of attributions."""

    @property
    def part(self) -> ExplainerPart | LimeExplainerPart:
        """What a record says of the method."""

    def explain(self, rows: NDArray[np.float32], records: Sequence[str]) -> Sequence[Explanation]:
        """Explain the answers to events (n, k) in the package's columns.

        Args:
            records: the ids of their records, from which chance is drawn, if at all.

        Raises:
            ExplainError: one can't be explained.
        """

    def warm_up(self) -> None:
        """Make ready what is slow the first time."""


def method_for(package: ModelPackage, explain: ExplainSettings, reasons: ReasonSettings) -> Method:
    """Return the method of the settings for a package.

    Raises:
        ExplainError: the settings do not fit the package.
    """
    made = LimeMethod if explain.method == "lime" else OperatorMethod
    return made(package, explain, reasons)


class OperatorMethod:
    """`explain.lime.lime.Lime`: no chance is in it but that of the package's samples."""

    def __init__(
        self, package: ModelPackage, explain: ExplainSettings, reasons: ReasonSettings
    ) -> None:
        self._lime = Lime(package, explain)
        design = self._lime.design
        self.groups = dict(zip(design.groups.names, design.groups.features, strict=True))
        self.part = explainer_part(package, design, explain, reasons)

    def explain(self, rows: NDArray[np.float32], records: Sequence[str]) -> list[Explanation]:
        """See `Method`."""
        return self._lime.explain(rows)

    def warm_up(self) -> None:
        """See `Method`."""
        self._lime.warm_up()


class LimeMethod:
    """As published: a local model of the probability of fraud, on samples drawn for each event.

    It does not say how far other seeds would agree, so that is not judged: `error`, `vsi` and `csi`
    are NaN. A feature that the local model leaves out has the attribution 0.
    """

    def __init__(
        self, package: ModelPackage, explain: ExplainSettings, reasons: ReasonSettings
    ) -> None:
        # Here, since scikit-learn takes seconds to import, which no other method needs.
        from explain.exact.background import BackgroundLime

        self._lime = BackgroundLime(package, explain.lime, explain.seed)
        self._sure = explain.confidence
        self._background = package.background
        names = package.features.names
        self.groups = {name: (name,) for name in names}
        self.part = lime_explainer_part(package, explain, reasons)

    def explain(self, rows: NDArray[np.float32], records: Sequence[str]) -> list[Explanation]:
        """See `Method`."""
        return [self._one(row, record) for row, record in zip(rows, records, strict=True)]

    def warm_up(self) -> None:
        """See `Method`."""
        self._lime.explain(np.nan_to_num(self._background[0]), "")

    def _one(self, row: NDArray[np.float32], record: str) -> Explanation:
        found = self._lime.explain(row, record)
        attributions = np.zeros(len(self.groups))
        attributions[list(found.features)] = found.weights
        log_odds, local = _log_odds(found.probability), _log_odds(found.local_prediction)
        return Explanation(
            log_odds=round(log_odds, _DIGITS),
            baseline=round(found.intercept, _DIGITS),
            local=round(found.local_prediction, _DIGITS),
            attributions=tuple(round(each, _DIGITS) for each in attributions.tolist()),
            error=math.nan,
            r2=round(found.score, _DIGITS),
            ess=round(found.ess, _DIGITS),
            vsi=math.nan,
            csi=math.nan,
            confident=(
                found.score >= self._sure.r2
                and found.ess >= self._sure.ess
                and abs(local - log_odds) <= self._sure.gap
            ),
        )


def _log_odds(probability: float) -> float:
    """Of what may be no probability: a linear model knows no bounds."""
    bounded = min(max(probability, LEAST_SCORE), 1 - LEAST_SCORE)
    return math.log(bounded / (1 - bounded))
