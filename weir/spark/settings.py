"""The ``[spark]`` section."""

import re
from typing import Annotated

from pydantic import Field, field_validator

from streams.base.secret_fields import MayHoldSecrets
from streams.base.section import Section

_MEMORY = re.compile(r"[1-9][0-9]*[kmgt]", re.IGNORECASE)
_SET_ELSEWHERE = {
    "spark.master": "master",
    "spark.driver.memory": "driver_memory",
    "spark.executor.memory": "executor_memory",
}


class SparkSettings(Section):
    """The ``[spark]`` section: what ``--engine spark`` computes on.

    Attributes:
        master: ``local[*]`` is all cores of this machine; else a cluster, such as
            ``spark://host:7077``, ``yarn`` or ``k8s://…``.
        driver_memory, executor_memory: of their Java processes; ``local`` has only the first.
        buckets: over how many events are spread by an entity's value; one is in the memory of one
            Python process at a time. 0 for one of 250,000 events, or two for each core.
        conf: further settings of Spark, by their own names.
    """

    master: str = Field(default="local[*]", min_length=1)
    driver_memory: str = "1g"
    executor_memory: str = "1g"
    buckets: int = Field(default=0, ge=0)
    conf: Annotated[dict[str, str], MayHoldSecrets()] = Field(default_factory=dict)

    @field_validator("driver_memory", "executor_memory")
    @classmethod
    def _is_memory(cls, value: str) -> str:
        if not _MEMORY.fullmatch(value):
            raise ValueError("that is no memory size: write one such as '4g' or '512m'")
        return value

    @field_validator("conf")
    @classmethod
    def _is_of_spark(cls, conf: dict[str, str]) -> dict[str, str]:
        for name in conf:
            if not name.startswith("spark."):
                raise ValueError("settings of Spark have names that begin with 'spark.'")
            if name in _SET_ELSEWHERE:
                raise ValueError(f"{name} is set by spark.{_SET_ELSEWHERE[name]}: write it there")
        return conf

    @property
    def is_local(self) -> bool:
        """Whether it is this machine."""
        return self.master.startswith("local")
