"""The ``[tracing]`` section."""

import re

from pydantic import Field, field_validator

from streams.base.masking import without_logins
from streams.base.secret_fields import LoginUrl
from streams.base.section import Name, Section

_URL = re.compile(r"https?://[^@/\s]+(/\S*)?")


class TracingSettings(Section):
    """The ``[tracing]`` section; without it no header is read for it, and no span is made.

    Attributes:
        endpoint: where a collector takes spans, by OTLP over HTTP: the whole URL.
        sample: share of the events of `weir replay` with which a trace begins. Of others, whoever
            began their trace has decided.
        service: what the collector calls our processes.
    """

    endpoint: LoginUrl = "http://localhost:4318/v1/traces"
    sample: float = Field(default=0.01, ge=0, le=1)
    service: Name = "weir"

    @field_validator("endpoint")
    @classmethod
    def _names_a_host_only(cls, endpoint: str) -> str:
        if without_logins(endpoint) != endpoint:
            raise ValueError(
                "a login may not stand in the URL: give it as a header, in the variable "
                "OTEL_EXPORTER_OTLP_HEADERS"
            )
        if not _URL.fullmatch(endpoint):
            raise ValueError("it is no URL: write http://HOST:4318/v1/traces, or https://…")
        return endpoint
