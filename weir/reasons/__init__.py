"""The catalogue of reasons that comes with the example settings, and that of a user's settings."""

from pathlib import Path

from explain.reasons.catalogue import Catalogue
from explain.reasons.catalogue_file import load_catalogue
from explain.record.reason_settings import ReasonSettings

EXAMPLE_CATALOGUE = Path(__file__).with_name("example.toml")


def catalogue_file(settings: ReasonSettings) -> Path:
    """The file that the settings name, or else that of the example."""
    return settings.file if settings.file is not None else EXAMPLE_CATALOGUE


def open_catalogue(settings: ReasonSettings) -> Catalogue:
    """Read the catalogue of the settings.

    Raises:
        CatalogueError: it can't be used; the message names file, key and fix.
    """
    return load_catalogue(catalogue_file(settings))
