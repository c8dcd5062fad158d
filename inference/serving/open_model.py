"""A model on an engine, before it serves: warmed, checked, and under a policy that fits it."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from inference.backends.golden_batch import check_golden
from inference.control.commands import ModelVersion
from inference.engine.protocol import Engine
from inference.packages.package import ModelPackage
from inference.packages.thresholds import Thresholds
from inference.policy.policy import Policy, PolicyError, PolicySettings
from inference.serving.explanation_seam import InlineExplainer
from inference.serving.served_model import ServedModel

logger = logging.getLogger(__name__)

Fit = Callable[[PolicySettings, Thresholds], Policy]


@dataclass(frozen=True)
class OpenModel:
    """A model from the registry, on an engine."""

    version: ModelVersion
    package: ModelPackage
    engine: Engine

    def made_ready(
        self,
        feature_names: Sequence[str],
        policies: Sequence[PolicySettings],
        explains: InlineExplainer | None,
        fit: Fit = Policy,
    ) -> ServedModel:
        """What serves with it: warm, checked, and under the first policy that fits it.

        Closes the engine of one that can't serve.

        Args:
            feature_names: of the vectors that engines take.
            explains: made ready for the model, too.
            fit: a policy resolved against thresholds.

        Raises:
            PolicyError: no policy fits; it is about the first.
            InferenceError: the engine does not answer as the package says.
        """
        try:
            policy = _first_that_fits(policies, self.package, fit)
            serving = ServedModel.of(self.package.id, self.engine, policy)
            check_golden(self.engine, self.package, feature_names)
            serving.warm_up()
            if explains is not None:
                explains.prepare(self.package, self.version.version)
        except BaseException:
            self.engine.close()
            raise
        return serving


def _first_that_fits(policies: Sequence[PolicySettings], package: ModelPackage, fit: Fit) -> Policy:
    """The first policy that does not contradict a model's thresholds.

    Raises:
        PolicyError: none; it is about the first.
    """
    problems = []
    for settings in policies:
        try:
            return fit(settings, package.thresholds)
        except PolicyError as error:
            logger.error(
                "policy %s does not fit the model's thresholds: %s", settings.version, error
            )
            problems.append(error)
    raise problems[0]
