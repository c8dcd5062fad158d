"""A broker that lets nobody in without a password or a certificate, and nobody do anything."""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from authority import Authority
from confluent_kafka.admin import AdminClient

from weir.broker import BrokerSettings, LocalBroker

USERS = ("admin", "scorer", "producer", "analyst", "controller", "nobody")
HOST = "127.0.0.1"
_AS_COMMON_NAME = "RULE:^CN=([^,]+).*$/$1/, DEFAULT"


class Secured:
    """A running broker: SASL_SSL with SCRAM on one listener, mutual TLS on another.

    A user has the same name on both: his certificate's common name.

    Attributes:
        passwords: of `USERS`.
    """

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder / "authority", "Weir's tests")
        self.passwords = {user: f"pw={secrets.token_urlsafe(12)}" for user in USERS}
        self.clients = {user: self.authority.issue(user) for user in USERS}
        broker = self.authority.issue("broker", HOST)
        self.settings = BrokerSettings(
            data_dir=folder / "broker",
            host=HOST,
            port=0,
            listeners={"MTLS": 0},
            properties={
                "listener.security.protocol.map": "CLIENT:SASL_SSL,MTLS:SSL,CONTROLLER:SSL",
                "inter.broker.listener.name": "MTLS",
                "sasl.enabled.mechanisms": "SCRAM-SHA-512",
                "listener.name.client.scram-sha-512.sasl.jaas.config": (
                    "org.apache.kafka.common.security.scram.ScramLoginModule required;"
                ),
                "ssl.keystore.type": "PEM",
                "ssl.keystore.location": str(broker.both),
                "ssl.truststore.type": "PEM",
                "ssl.truststore.location": str(self.authority.certificate),
                "listener.name.mtls.ssl.client.auth": "required",
                "listener.name.controller.ssl.client.auth": "required",
                "ssl.principal.mapping.rules": _AS_COMMON_NAME,
                "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
                "super.users": "User:admin;User:broker",
            },
            client={
                "security.protocol": "SASL_SSL",
                "ssl.ca.location": str(self.authority.certificate),
                "sasl.mechanism": "SCRAM-SHA-512",
                "sasl.username": "admin",
            },
            scram_passwords=self.passwords,
        )
        self._broker = LocalBroker(self.settings)
        self._mtls = ""

    @contextmanager
    def running(self) -> Iterator["Secured"]:
        with self._broker:
            self._mtls = self._broker.status().listeners["MTLS"]
            yield self

    def admin(self) -> AdminClient:
        """May do everything."""
        servers = self._broker.bootstrap_servers
        return AdminClient({"bootstrap.servers": servers, **self.settings.client_config()})

    def with_password(self, user: str, **other: Any) -> Mapping[str, Any]:
        """The ``[kafka]`` section of a user, but for the password."""
        return {
            "bootstrap_servers": self._broker.bootstrap_servers,
            "security_protocol": "SASL_SSL",
            "ssl_ca_location": str(self.authority.certificate),
            "sasl_mechanism": "SCRAM-SHA-512",
            "sasl_username": user,
        } | other

    def with_certificate(self, user: str, **other: Any) -> Mapping[str, Any]:
        """The ``[kafka]`` section of a user."""
        files = self.clients[user]
        return {
            "bootstrap_servers": self._mtls,
            "security_protocol": "SSL",
            "ssl_ca_location": str(self.authority.certificate),
            "ssl_certificate_location": str(files.certificate),
            "ssl_key_location": str(files.key),
        } | other
