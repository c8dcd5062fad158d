"""The ``[metrics]`` section."""

import re
from pathlib import Path

from pydantic import Field, SecretStr, field_validator, model_validator

from streams.base.secrets import check_files, check_one_source, secret_of
from streams.base.section import Section

_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{16,1000}")
"""What a header may hold (RFC 6750), and nobody guesses."""


class MetricsSettings(Section):
    """The ``[metrics]`` section: where Prometheus asks, and whoever watches processes.

    Attributes:
        port: of every process; where none is set, each has its own (see `weir.services.processes`).
            0 chooses a free one; the log says which.
        connections: how many may be open at a time.
        tls_certificate, tls_key: files in PEM; with them the port speaks HTTPS only.
        tls_client_ca: who signs certificates of those who may ask for more than health.
        username, password, password_file: what HTTP basic authentication has to bring, to ask for
            more than health; the password from a file or the environment
            (``WEIR_METRICS__PASSWORD``), not from the settings file.
        token, token_file: what HTTP bearer authentication has to bring, to change anything; nobody
            may without. From a file or the environment (``WEIR_METRICS__TOKEN``), too.
    """

    host: str = Field(default="127.0.0.1", max_length=255)
    port: int | None = Field(default=None, ge=0, le=65_535)
    connections: int = Field(default=16, ge=1, le=1_000)
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    tls_client_ca: Path | None = None
    username: str | None = Field(default=None, min_length=1, max_length=255)
    password: SecretStr | None = None
    password_file: Path | None = None
    token: SecretStr | None = None
    token_file: Path | None = None

    @field_validator("username")
    @classmethod
    def _has_no_colon(cls, name: str | None) -> str | None:
        if name is not None and ":" in name:
            raise ValueError("HTTP ends a name with a colon: choose one without")
        return name

    @model_validator(mode="after")
    def _fits_together(self) -> "MetricsSettings":
        check_one_source(self, "password", "token")
        token = secret_of(self, "token")
        if token is not None and not _TOKEN.fullmatch(token):
            raise ValueError(
                "token: write 16 letters, digits and -._~+/= or more, such as what `openssl rand "
                "-hex 32` prints"
            )
        if (self.username is None) != (self.password is None and self.password_file is None):
            raise ValueError("username and password go together: set both, or neither")
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key go together: set both, or neither")
        if self.tls_client_ca is not None and self.tls_certificate is None:
            raise ValueError("tls_client_ca is for TLS: set tls_certificate and tls_key, too")
        check_files(self, "tls_certificate", "tls_key", "tls_client_ca")
        return self
