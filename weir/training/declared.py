"""What the settings declare: features, what is at stake, and where the archive is."""

from inference.packages.package import FeatureColumns
from monitoring.archive.table import ArchiveTable, open_tables
from weir.config.settings import Settings


def declared_columns(settings: Settings) -> FeatureColumns:
    """The features that the settings declare."""
    plan = settings.plan()
    return FeatureColumns(names=plan.names, schema_hash=plan.schema_hash, definitions=plan.schema())


def archive_tables(settings: Settings, place: str | None) -> dict[str, ArchiveTable]:
    """The archive's tables; at `place`, or where the settings say."""
    archive = settings.archive
    return open_tables(place or archive.place(settings.data_dir), archive.storage_options())


def declared_stake(settings: Settings) -> str | None:
    """The field that says what an event is about; None where there are no costs."""
    costs = settings.policy.costs
    return None if costs is None else costs.amount
