"""Opens a model for a scorer: fetched, of the right features, with an engine that is built."""

import logging
from collections.abc import Callable
from time import monotonic

from inference.backends.golden_batch import check_golden
from inference.backends.selection import open_engine
from inference.backends.tensorrt.callbacks import Cancelled, Progress
from inference.control.commands import ModelVersion
from inference.engine.onnx_session import RunSwitch
from inference.importing.sandbox.package_trial import PackageTrials
from inference.packages.package import ModelPackage, PackageError
from inference.packages.registry import Registry
from inference.policy.floor import BoundedPolicies
from inference.policy.policy import PolicySettings
from inference.serving.feature_compatibility import check_feature_compatibility
from inference.serving.open_model import OpenModel
from weir.config.settings import Settings

logger = logging.getLogger(__name__)

_BUILD_SAID_S = 5.0

Note = Callable[[str], None]


def package_trials(settings: Settings) -> PackageTrials:
    """What tries packages before they are loaded; it notes the good ones in the data folder."""
    return PackageTrials(settings.data_dir / "tried")


def check_model(
    settings: Settings, registry: Registry, version: ModelVersion, policy: PolicySettings
) -> None:
    """Do what a scorer does with a model before it answers by it.

    Raises:
        InferenceError: a scorer would refuse it.
    """
    model = open_model(settings, registry, version, package_trials(settings))
    with model.engine:
        BoundedPolicies(settings.policy, settings.policy_floor).fit(
            policy, model.package.thresholds
        )
        check_golden(model.engine, model.package, settings.plan().names)


def fetch_package(
    settings: Settings,
    registry: Registry,
    version: ModelVersion,
    tried: PackageTrials,
    cancelled: Cancelled = lambda: False,
    note: Note = lambda _: None,
) -> ModelPackage:
    """Fetch the package of a model, and try it apart, before anything of it is loaded here.

    Raises:
        InferenceError: there is no such model, or it does not work with these settings.
        BuildCancelledError: the trial was given up.
    """
    note(f"fetching model {version}")
    package = registry.resolve(version.version, version.package)
    if package.id != version.package:
        raise PackageError(
            f"version {version.version} in the registry is package {package.short_id}, not "
            f"{version.package[:12]}, which was promoted or named a candidate: do that again"
        )
    check_feature_compatibility(settings.plan(), package)
    note(f"trying model {version}")
    tried(package, cancelled)
    return package


def open_model(
    settings: Settings,
    registry: Registry,
    version: ModelVersion,
    tried: PackageTrials,
    cancelled: Cancelled = lambda: False,
    note: Note = lambda _: None,
) -> OpenModel:
    """Fetch a model, try it apart, and build its engine.

    Args:
        tried: tries its package before anything of it is loaded here.
        cancelled: asked while it is tried and the engine built; once it is true, that is given up.
        note: told what takes its time.

    Raises:
        InferenceError: there is no such model, or it does not work with these settings.
        BuildCancelledError: the build was given up.
    """
    package = fetch_package(settings, registry, version, tried, cancelled, note)
    note(f"building the engine of model {version}")
    switch = RunSwitch()
    engine = open_engine(
        settings.engine,
        package,
        settings.plan().names,
        data_dir=settings.data_dir,
        progress=_log_build(package),
        cancelled=cancelled,
        switch=switch,
    )
    return OpenModel(version, package, engine, switch, cancelled)


def _log_build(package: ModelPackage) -> Progress:
    last = monotonic()

    def progress(done: int, of: int) -> None:
        nonlocal last
        if monotonic() - last >= _BUILD_SAID_S:
            last = monotonic()
            logger.info(
                "building the engine of model %s: step %d of %d", package.short_id, done, of
            )

    return progress
