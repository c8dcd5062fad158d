"""Who runs the retraining jobs, as the settings have it."""

from collections.abc import Sequence
from pathlib import Path

from monitoring.retraining.jobs.job import Runner
from monitoring.retraining.jobs.kubernetes_settings import KubernetesSettings
from monitoring.retraining.jobs.local import LocalRunner
from monitoring.retraining.jobs.outbox import OutboxRunner
from streams.base.child_process import our_module
from weir.config.errors import SettingsError
from weir.config.settings import Settings
from weir.retraining.book import RetrainingBook

_OF_THIS_MACHINE = ("/", ".", "file:", "sqlite:")


def runner_of(settings: Settings, book: RetrainingBook, config: Path | None) -> Runner:
    """The runner that ``[retraining]`` names.

    Args:
        book: takes the orders of the outbox.
        config: the settings file of jobs of this machine.

    Raises:
        SettingsError: it is not installed, or its jobs could not reach what they need.
        KubernetesLoginError: see `kubernetes_jobs_api`.
    """
    retraining = settings.retraining
    if retraining.runner == "outbox":
        return OutboxRunner(book.write, book.orders)
    if retraining.runner == "kubernetes":
        assert retraining.kubernetes is not None
        return _of_kubernetes(settings, retraining.kubernetes)

    def command(key: str, spec: Path) -> Sequence[str]:
        named = [] if config is None else ["--config", str(config.absolute())]
        return our_module("weir", "retrain", str(spec.absolute()), "--no-progress", *named)

    return LocalRunner(settings.data_dir / "jobs", command)


def _of_kubernetes(settings: Settings, described: KubernetesSettings) -> Runner:
    for key, place in (
        ("archive.url", settings.archive.place(settings.data_dir)),
        ("registry.tracking_uri", settings.registry.tracking_uri or "sqlite:"),
    ):
        if place.startswith(_OF_THIS_MACHINE):
            raise SettingsError(
                f'retraining.runner = "kubernetes" needs {key} to name an object store or a '
                "server: a pod does not see the files of this machine"
            )
    try:
        from monitoring.retraining.jobs.kubernetes import KubernetesRunner, kubernetes_jobs_api
    except ImportError as error:
        raise SettingsError(
            f"retraining.runner = \"kubernetes\" needs {error.name}: pip install 'weir[kubernetes]'"
        ) from error
    return KubernetesRunner(kubernetes_jobs_api(), described)
