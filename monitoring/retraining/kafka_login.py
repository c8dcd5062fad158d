"""How Faust's client, aiokafka, reaches the cluster that ``[kafka]`` names."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from faust.auth import SASLCredentials, SSLCredentials
from faust.types.auth import CredentialsT, SASLMechanism

from streams.kafka.client import ClientSettingsError, KafkaSettings

_MECHANISMS = (SASLMechanism.PLAIN, SASLMechanism.SCRAM_SHA_256, SASLMechanism.SCRAM_SHA_512)
_KNOWN = {
    "bootstrap.servers",
    "security.protocol",
    "sasl.mechanism",
    "sasl.mechanisms",
    "sasl.username",
    "sasl.password",
    "ssl.ca.location",
    "ssl.ca.pem",
    "ssl.certificate.location",
    "ssl.key.location",
    "ssl.key.password",
    "ssl.endpoint.identification.algorithm",
    "enable.ssl.certificate.verification",
    "https.ca.location",
}
_MATTERS = ("sasl.", "ssl.", "security.", "oauth")
"""What a connection can't do without; other settings tune librdkafka."""


@dataclass(frozen=True)
class KafkaLogin:
    """What an app of Faust is given.

    Attributes:
        brokers: their addresses, as URLs.
        credentials: None where the cluster asks for none.
    """

    brokers: list[str]
    credentials: CredentialsT | None


def kafka_login(kafka: KafkaSettings) -> KafkaLogin:
    """The same cluster, by the same login and certificates.

    Raises:
        ClientSettingsError: the settings say what this client can't do, or name a certificate or
            key that can't be read.
    """
    config = kafka.client_config()
    for name in config:
        if name.startswith(_MATTERS) and name not in _KNOWN:
            raise ClientSettingsError(
                f"[kafka]: {name} is not understood by the retraining controller, whose client is "
                "Faust's: give it a login by user and password, or by certificate files"
            )
    protocol = str(config["security.protocol"]).upper()
    context = _tls(config) if protocol.endswith("SSL") else None
    servers: str = config["bootstrap.servers"]
    brokers = [f"kafka://{each.strip()}" for each in servers.split(",")]
    if not protocol.startswith("SASL"):
        return KafkaLogin(brokers, None if context is None else SSLCredentials(context))
    mechanism = str(config.get("sasl.mechanisms") or config.get("sasl.mechanism") or "GSSAPI")
    if mechanism not in {each.value for each in _MECHANISMS}:
        known = ", ".join(each.value for each in _MECHANISMS)
        raise ClientSettingsError(
            f"[kafka]: sasl_mechanism {mechanism!r} is not understood by the retraining "
            f"controller, whose client is Faust's: it knows {known}"
        )
    login = SASLCredentials(
        username=config.get("sasl.username", ""),
        password=config.get("sasl.password", ""),
        ssl_context=context,
        mechanism=mechanism,
    )
    return KafkaLogin(brokers, login)


def _tls(config: Mapping[str, Any]) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(
            cafile=config.get("ssl.ca.location"), cadata=config.get("ssl.ca.pem")
        )
        if certificate := config.get("ssl.certificate.location"):
            context.load_cert_chain(
                certificate, config.get("ssl.key.location"), config.get("ssl.key.password")
            )
    except (OSError, ssl.SSLError) as error:
        raise ClientSettingsError(
            f"[kafka]: a certificate or key can't be read: {error}"
        ) from error
    unchecked = str(config.get("enable.ssl.certificate.verification", True)).lower() == "false"
    if unchecked or config.get("ssl.endpoint.identification.algorithm") == "none":
        context.check_hostname = False
    if unchecked:
        context.verify_mode = ssl.CERT_NONE
    return context
