"""The ``[schema_registry]`` section: where the schemas of framed records are."""

from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr, model_validator

from streams.section import Section


class SchemaRegistrySettings(Section):
    """Needed for every ``event.format`` but ``"json"``.

    Attributes:
        url: root of an API like Confluent's, such as ``http://localhost:8081``.
        password, password_file: for HTTP basic authentication; the password itself belongs into
            the environment (``WEIR_SCHEMA_REGISTRY__PASSWORD``), not into the settings file.
        ca_location, certificate_location, key_location: PEM files for TLS; the last two, the key
            without a passphrase, where the registry asks for a client's certificate.
        timeout_s: how long one request may take, in seconds. The stream stands meanwhile.
    """

    url: str = Field(default="", pattern=r"^(https?://[^@\s]+)?$")
    user: str | None = None
    password: SecretStr | None = None
    password_file: Path | None = None
    ca_location: Path | None = None
    certificate_location: Path | None = None
    key_location: Path | None = None
    timeout_s: float = Field(default=5.0, gt=0, le=60)

    @model_validator(mode="after")
    def _fits_together(self) -> "SchemaRegistrySettings":
        if self.password is not None and self.password_file is not None:
            raise ValueError("give password or password_file, not both")
        if self.user is None and (self.password is not None or self.password_file is not None):
            raise ValueError("a password needs a user: set schema_registry.user")
        if (self.certificate_location is None) != (self.key_location is None):
            raise ValueError("give certificate_location and key_location together")
        for name in ("password_file", "ca_location", "certificate_location", "key_location"):
            path: Path | None = getattr(self, name)
            if path is not None and not path.is_file():
                raise ValueError(f"{name}: there is no file {str(path)!r}")
        return self

    def session_arguments(self) -> dict[str, Any]:
        """What `requests` wants with each request; holds secrets: never log it."""
        arguments: dict[str, Any] = {"timeout": self.timeout_s, "allow_redirects": False}
        if self.user is not None:
            secret = self.password.get_secret_value() if self.password is not None else ""
            if self.password_file is not None:
                secret = self.password_file.read_text().strip()
            arguments["auth"] = (self.user, secret)
        if self.ca_location is not None:
            arguments["verify"] = str(self.ca_location)
        if self.certificate_location is not None:
            arguments["cert"] = (str(self.certificate_location), str(self.key_location))
        return arguments
