"""The ``[archive]`` section."""

from pathlib import Path

from pydantic import Field, SecretStr

from streams.base.secret_fields import LoginUrl
from streams.base.section import Duration, Name, WorkerSection

_FOLDER = "archive"


class ArchiveSettings(WorkerSection):
    """The ``[archive]`` section: `weir archive`, and who reads what it wrote.

    Attributes:
        url: a folder, or an object store such as ``s3://bucket/weir``; by default in the data
            folder.
        options: how to reach an object store, by the names of its own environment variables, such
            as ``AWS_ENDPOINT_URL``; these hold, too, where they are set in the environment.
        group: consumer group of the archive's workers. Where they are, the archive itself knows.
        interval: rows wait for so long before they are written; a file for each partition of the
            tables is the fewer, the longer it is.
        max_wait_mb: MiB of records that wait at most, whatever the interval.
        keep: rows of events that are older are deleted; ``0s`` keeps all for good.
        compact_every: small files of one day are made one so often; never if ``0s``.
        undo: files that compaction, retention and `weir archive erase` have replaced stay so long,
            so that who reads them just now can end, and training can be reproduced; an erasure
            takes them at once.
        niceness: how far it stands back for others that want the processors, 0 ... 19.
        session_timeout: after this the group takes a silent member's partitions away.
    """

    url: LoginUrl = ""
    options: dict[str, SecretStr] = Field(default_factory=dict)
    group: Name = "weir-archive"
    interval: Duration = Field(default=60_000, gt=0)
    max_wait_mb: int = Field(default=64, ge=1)
    keep: Duration = Field(default=0, ge=0)
    compact_every: Duration = Field(default=3_600_000, ge=0)
    undo: Duration = Field(default=7 * 86_400_000, ge=0)
    niceness: int = Field(default=10, ge=0, le=19)
    session_timeout: Duration = Field(default=10_000, gt=0)

    def place(self, data_dir: Path) -> str:
        """Where the archive is."""
        return self.url.rstrip("/") or str((data_dir / _FOLDER).absolute())

    def storage_options(self) -> dict[str, str]:
        """How to reach it, in clear text."""
        return {name: value.get_secret_value() for name, value in self.options.items()}
