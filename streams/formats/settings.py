"""The ``[schema_registry]`` section: where the schemas of framed records are."""

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, SecretStr, field_serializer, field_validator, model_validator

from streams.base.masking import HIDDEN, without_logins
from streams.base.secret_fields import LoginUrl, MayHoldSecrets
from streams.base.secrets import check_files, check_one_source, secret_of
from streams.base.section import Duration, Section

_URLS = re.compile(r"(https?://[^@,\s]+(, *https?://[^@,\s]+)*)?")
_OWN_SETTING = {
    "url": "url",
    "basic.auth.user.info": "username and password",
    "timeout": "timeout",
    "ssl.ca.location": "ssl_ca_location",
    "ssl.certificate.location": "ssl_certificate_location",
    "ssl.key.location": "ssl_key_location",
    "ssl.key.password": "ssl_key_password",
}


class SchemaRegistrySettings(Section):
    """Needed for every ``event.format`` but ``"json"``.

    Attributes:
        url: root of an API like Confluent's, such as ``http://localhost:8081``; several, with
            commas between, are tried in turn.
        username, password: for HTTP basic authentication, such as an API key and its secret.
        password_file, ssl_key_password_file: secrets come from a file or from the environment
            (``WEIR_SCHEMA_REGISTRY__PASSWORD``), not from the settings file.
        timeout: how long connecting, and then each part of the answer, may take. The stream does
            not stand meanwhile.
        max_bytes: of a schema with all that it refers to. Sixteen times as much is kept, compiled.
        validate_json: whether a record of ``event.format = "json_schema"`` has to keep the schema
            that it names, beside the contract.
        properties: further settings of Confluent's Python client, such as
            ``"bearer.auth.token"`` or ``proxy``; all of them are kept secret.
    """

    url: LoginUrl = ""
    username: str | None = None
    password: SecretStr | None = None
    password_file: Path | None = None
    ssl_ca_location: Path | None = None
    ssl_certificate_location: Path | None = None
    ssl_key_location: Path | None = None
    ssl_key_password: SecretStr | None = None
    ssl_key_password_file: Path | None = None
    timeout: Duration = Field(default=5_000, ge=1, le=60_000)
    max_bytes: int = Field(default=262_144, ge=1_000, le=16_777_216)
    validate_json: bool = True
    properties: Annotated[dict[str, str | int], MayHoldSecrets()] = Field(default_factory=dict)

    @field_validator("url")
    @classmethod
    def _names_hosts_only(cls, url: str) -> str:
        if without_logins(url) != url:
            raise ValueError(
                "a login may not stand in the URL: give it in schema_registry.username and "
                "password_file, or in WEIR_SCHEMA_REGISTRY__PASSWORD"
            )
        if not _URLS.fullmatch(url):
            raise ValueError(
                "it is no URL: write http://HOST:PORT or https://HOST:PORT, several with commas "
                "between"
            )
        return url

    @model_validator(mode="after")
    def _fits_together(self) -> "SchemaRegistrySettings":
        check_one_source(self, "password", "ssl_key_password")
        if (self.username is None) != (self.password is None and self.password_file is None):
            raise ValueError("username and password go together: set both, or neither")
        if self.ssl_key_location is not None and self.ssl_certificate_location is None:
            raise ValueError("ssl_key_location is for a certificate: set ssl_certificate_location")
        check_files(self, "ssl_ca_location", "ssl_certificate_location", "ssl_key_location")
        for name in self.properties.keys() & _OWN_SETTING.keys():
            raise ValueError(
                f"properties: {name!r} has a setting of its own: use {_OWN_SETTING[name]}"
            )
        return self

    @field_serializer("properties")
    def _hide_secrets(self, properties: dict[str, str | int]) -> dict[str, str]:
        return dict.fromkeys(properties, HIDDEN)

    def __repr__(self) -> str:
        return f"SchemaRegistrySettings({self.model_dump(exclude_defaults=True)!r})"

    __str__ = __repr__

    def client_config(self) -> dict[str, Any]:
        """Settings of Confluent's client; holds secrets: never log it."""
        # Trying again is our own affair: the client's would keep its caller waiting.
        config: dict[str, Any] = {
            "url": self.url,
            "timeout": self.timeout / 1_000,
            "max.retries": 0,
        }
        if self.username is not None:
            config["basic.auth.user.info"] = f"{self.username}:{secret_of(self, 'password')}"
        for name in ("ssl_ca_location", "ssl_certificate_location", "ssl_key_location"):
            path: Path | None = getattr(self, name)
            if path is not None:
                config[name.replace("_", ".")] = str(path)
        key_password = secret_of(self, "ssl_key_password")
        if key_password is not None:
            config["ssl.key.password"] = key_password
        return config | self.properties
