"""The ``[performance]`` section: how a model's performance is watched, and where it is kept."""

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field, SecretStr, model_validator

from monitoring.performance.errors import PerformanceStoreError
from streams.base.secrets import check_one_source, secret_of
from streams.base.section import Duration, Section
from streams.base.sql.url import read_url

# A database is imported where it is used: settings are read by every command.
if TYPE_CHECKING:
    from monitoring.performance.store import PerformanceStore

_FILE = "performance.db"


class PerformanceSettings(Section):
    """The ``[performance]`` section; what an event counts by stands in ``[comparison]``.

    Attributes:
        url, url_file: ``sqlite:///FILE`` or ``postgresql://USER:PASSWORD@HOST/DATABASE``, as
            `store.url`. By default SQLite in the data folder.
        tolerance: the share by which figures may be worse than at first.
        baseline_frauds, baseline_days: mature frauds, and days, that "at first" is made of.
        false_alarms: time in which a model that does as well as ever is called worse, in the mean.
        max_waiting: events that are kept in each partition until they are mature, at 30 bytes each;
            where more would wait, a share is kept, chosen by a hash.
        keep: how long cohorts stay in the state, from which the store can be filled again.
    """

    url: SecretStr | None = None
    url_file: Path | None = None
    tolerance: float = Field(default=0.1, ge=0, lt=1)
    baseline_frauds: int = Field(default=400, ge=20)
    baseline_days: int = Field(default=7, ge=1)
    false_alarms: Duration = Field(default=365 * 86_400_000, ge=86_400_000)
    max_waiting: int = Field(default=2_000_000, ge=1_000)
    keep: Duration = Field(default=90 * 86_400_000, ge=86_400_000)

    @model_validator(mode="after")
    def _url_is_one(self) -> "PerformanceSettings":
        check_one_source(self, "url")
        text = secret_of(self, "url")
        if text is not None:
            read_url(text)
        return self

    def open_store(self, data_dir: Path, *, make: bool = True) -> "PerformanceStore":
        """The store, made at the first use, if `make`.

        Raises:
            PerformanceStoreUnavailableError: the database does not answer.
            PerformanceStoreError: it can't be used.
        """
        from sqlalchemy import URL

        from monitoring.performance.store import PerformanceStore

        text = secret_of(self, "url")
        try:
            if text is None:
                file = URL.create("sqlite", database=str(data_dir / _FILE))
                return PerformanceStore(file, make=make)
            return PerformanceStore(*read_url(text), make=make)
        except ModuleNotFoundError as error:
            raise PerformanceStoreError(
                f"performance.url: PostgreSQL needs {error.name}: pip install 'weir[postgres]'"
            ) from error
