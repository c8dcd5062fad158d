"""What a retraining job does: a model of what its spec names, registered once."""

from inference.packages.registry import RegisteredModel
from inference.training.curves import HeldOut
from inference.training.train import train
from inference.training.training_set import TrainingError
from monitoring.archive.training_rows import Span, read_training_rows
from monitoring.retraining.jobs.job import JobSpec
from weir.config.settings import Settings
from weir.services.wiring import open_registry
from weir.training.declared import archive_tables, declared_columns, declared_stake
from weir.training.registering import Progress, packages_folder, run_details


def run_job(settings: Settings, spec: JobSpec, progress: Progress) -> tuple[RegisteredModel, bool]:
    """Train what a job is told to, unless the registry has its model; and whether it had.

    The model gets no alias: it is a candidate, and nothing else. Two runs of the same job train the
    same package, which the registry takes once.

    Raises:
        TrainingError: nothing can be trained from that data, or features are declared that are not
            those of the job.
        ArchiveAwayError, ArchiveError, RegistryError: they can't be reached.
        SettingsError: models have to be signed here, and we can't.
    """
    registry = open_registry(settings, signing=True)
    if (found := registry.of_job(spec.key)) is not None:
        return found, True
    plan = settings.plan()
    if plan.schema_hash != spec.feature_schema:
        raise TrainingError(
            f"job {spec.key} is of features {spec.feature_schema[:12]}, and the settings declare "
            f"{plan.schema_hash[:12]}: run it by the settings of the controller that decided it"
        )
    span = Span(spec.start, spec.stop, spec.label_delay, spec.unlabelled_legitimate, spec.left_out)
    tables = archive_tables(settings, spec.archive)
    columns = declared_columns(settings)
    stake = declared_stake(settings)
    rows = read_training_rows(tables, columns, span, progress, until=spec.until, stake=stake)
    held_out: list[HeldOut] = []
    package = train(
        rows, settings.training, packages_folder(settings), progress, observe=held_out.append
    )
    if (found := registry.of_job(spec.key)) is not None:  # another run of it was quicker
        return found, True
    details = run_details(settings, package, held_out[0])
    return registry.register(package, details=details, job=spec.key), False
