"""A model on an engine, before it serves: warmed, checked, and under a policy that fits it."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Thread
from time import monotonic

from inference.backends.golden_batch import check_golden
from inference.backends.tensorrt.callbacks import Cancelled
from inference.backends.tensorrt.errors import BuildCancelledError
from inference.control.commands import ModelVersion
from inference.engine.onnx_session import RunSwitch
from inference.engine.protocol import Engine, EngineError
from inference.packages.package import ModelPackage
from inference.packages.thresholds import Thresholds
from inference.policy.policy import Policy, PolicyError, PolicySettings
from inference.routing.served_model import ServedModel
from inference.serving.explanation_seam import InlineExplainer

logger = logging.getLogger(__name__)

Fit = Callable[[PolicySettings, Thresholds], Policy]


_MADE_READY_S = 180.0
"""Much more than compiling a large model's trees takes on a slow machine."""
_LOOK_S = 0.1


@dataclass(frozen=True)
class OpenModel:
    """A model from the registry, on an engine.

    Attributes:
        switch: ends what the engine answers, where it can be ended.
        cancelled: whether nobody wants it any more; asked while it is made ready.
    """

    version: ModelVersion
    package: ModelPackage
    engine: Engine
    switch: RunSwitch = field(default_factory=RunSwitch)
    cancelled: Cancelled = lambda: False

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
            InferenceError: the engine does not answer as the package says, or not for minutes.
            BuildCancelledError: `cancelled` said so.
        """
        try:
            policy = _first_that_fits(policies, self.package, fit)
            serving = ServedModel.of(self.package.id, self.engine, policy)
            with self._bounded():
                check_golden(self.engine, self.package, feature_names, self.switch)
                serving.warm_up()
            if explains is not None:
                explains.prepare(self.package, self.version.version)
        except BaseException:
            self.engine.close()
            raise
        return serving

    @contextmanager
    def _bounded(self) -> Iterator[None]:
        """End what the engine is asked in the block where it takes too long, or nobody wants it."""
        over = Event()
        deadline = monotonic() + _MADE_READY_S

        def watch() -> None:
            while not over.wait(_LOOK_S):
                if self.cancelled() or monotonic() > deadline:
                    self.switch.off()
                    return

        watcher = Thread(target=watch, name="watching a new model", daemon=True)
        watcher.start()
        try:
            yield
        except Exception as error:
            if self.cancelled():
                raise BuildCancelledError("told to stop while a model was made ready") from error
            if monotonic() > deadline:
                raise EngineError(
                    f"model {self.package.short_id} did not answer a few batches in "
                    f"{_MADE_READY_S:.0f} s"
                ) from error
            raise
        finally:
            over.set()
            watcher.join()


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
