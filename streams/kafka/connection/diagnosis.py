"""Why a cluster did not let us in, and which setting fixes it.

What the client says of a failed connection is often the same for several causes, so the listener is
looked at once more with Python's own TLS, which tells them apart.
"""

import socket
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509

_LOOK_S = 3.0
_ALERT_S = 1.0
_ADDRESS = (62, 64)
"""OpenSSL's codes for a certificate of another host or address."""
_EXPIRED = (9, 10)
_OWN = ("ssl.certificate.", "ssl.keystore.")


def explain_refusal(config: Mapping[str, Any], reason: str) -> str:
    """What is wrong, in words with the setting that fixes it; empty if nothing more is known.

    Args:
        config: librdkafka's settings.
        reason: what the client said last.
    """
    if "invalid credentials" in reason:
        return (
            f"wrong user name or password for {config.get('sasl.username')!r}: set "
            "kafka.sasl_username, and WEIR_KAFKA__SASL_PASSWORD or kafka.sasl_password_file"
        )
    if "Unsupported SASL mechanism" in reason:
        return "the cluster knows no such kafka.sasl_mechanism: take one that it supports"
    if "not valid in current SASL state" in reason:
        return "this port asks for no login: set kafka.security_protocol without SASL_"
    address = _address(str(config.get("bootstrap.servers", "")))
    if address is None:
        return ""
    try:
        connection = socket.create_connection(address, _LOOK_S)
    except OSError:
        return ""  # the client has said as much
    with connection:
        if not str(config.get("security.protocol", "")).upper().endswith("SSL"):
            return _look_without_tls(connection)
        return _look_with_tls(connection, address[0], config)


def explain_settings(reason: str) -> str:
    """What is wrong with settings that make no client; empty if nothing more is known."""
    if "sasl.username and sasl.password must be set" in reason:
        return "set kafka.sasl_username, and WEIR_KAFKA__SASL_PASSWORD or kafka.sasl_password_file"
    if "No provider for SASL mechanism GSSAPI" in reason:
        return "set kafka.sasl_mechanism, such as SCRAM-SHA-512: without it, it is Kerberos"
    if "key values mismatch" in reason:
        return "kafka.ssl_key_location is not the key of kafka.ssl_certificate_location"
    if "ssl.key.location failed" in reason:
        return (
            "kafka.ssl_key_location holds no key in PEM, or one with another password: set "
            "WEIR_KAFKA__SSL_KEY_PASSWORD or kafka.ssl_key_password_file"
        )
    if "ssl.certificate.location failed" in reason:
        return "kafka.ssl_certificate_location holds no certificate in PEM"
    if "ssl.ca.location failed" in reason:
        return "kafka.ssl_ca_location holds no certificates in PEM"
    return ""


def _address(servers: str) -> tuple[str, int] | None:
    """Host and port of the first server."""
    host, _, port = servers.split(",")[0].strip().rpartition(":")
    return (host.strip("[]"), int(port)) if host and port.isdecimal() else None


def _look_without_tls(connection: socket.socket) -> str:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # only to see whether it is TLS at all; nothing is sent
    try:
        context.wrap_socket(connection).close()
    except OSError as error:
        # An alert is an answer in TLS as well.
        if "ALERT" not in str(error).upper():
            return ""
    return (
        "this port speaks TLS: set kafka.security_protocol to SSL, or to SASL_SSL where it asks "
        "for a login"
    )


def _look_with_tls(connection: socket.socket, host: str, config: Mapping[str, Any]) -> str:
    try:
        with _context(config).wrap_socket(connection, server_hostname=host) as secured:
            secured.settimeout(_ALERT_S)
            try:
                secured.recv(1)
            except TimeoutError:
                pass
            except ssl.SSLError as error:
                if "ALERT" in str(error).upper():
                    return _own_certificate(config)
    except ssl.SSLCertVerificationError as error:
        return _brokers_certificate(error, host)
    except ssl.SSLError as error:
        if "ALERT" in str(error).upper():
            return _own_certificate(config)
        return _NO_TLS
    except OSError:
        return _NO_TLS
    if str(config["security.protocol"]).upper() == "SSL":
        return (
            "this port speaks TLS and ends the connection nevertheless: if it asks for a login, "
            "set kafka.security_protocol to SASL_SSL"
        )
    return ""


_NO_TLS = (
    "this port does not speak TLS: take that of a TLS listener, or set kafka.security_protocol to "
    "PLAINTEXT or SASL_PLAINTEXT"
)


def _context(config: Mapping[str, Any]) -> ssl.SSLContext:
    ca = config.get("ssl.ca.location")
    context = ssl.create_default_context(cafile=None if ca in (None, "probe") else ca)
    if str(config.get("ssl.endpoint.identification.algorithm", "https")).lower() == "none":
        context.check_hostname = False
    if str(config.get("enable.ssl.certificate.verification", True)).lower() == "false":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if "ssl.certificate.location" in config:
        context.load_cert_chain(
            config["ssl.certificate.location"],
            config.get("ssl.key.location"),
            # Without one OpenSSL would ask on the terminal.
            password=config.get("ssl.key.password", ""),
        )
    return context


def _brokers_certificate(error: ssl.SSLCertVerificationError, host: str) -> str:
    if error.verify_code in _ADDRESS:
        return (
            f"the broker's certificate is not for {host!r}: write into kafka.bootstrap_servers a "
            "name that is in it, or give the broker another certificate"
        )
    if error.verify_code in _EXPIRED:
        return (
            "the broker's certificate has expired, or is not valid yet: the broker needs a new one"
        )
    return (
        f"the broker's certificate is of an authority that we do not trust "
        f"({error.verify_message}): set kafka.ssl_ca_location to that authority's certificate"
    )


def _own_certificate(config: Mapping[str, Any]) -> str:
    """Why the broker may have refused what we showed; an alert does not say it."""
    path = config.get("ssl.certificate.location")
    if path is None and any(name.startswith(_OWN) for name in config):
        return "the broker refuses our certificate: has it expired, or another issuer?"
    if path is None:
        return (
            "this port asks for a client certificate: set kafka.ssl_certificate_location and "
            "kafka.ssl_key_location"
        )
    try:
        own = x509.load_pem_x509_certificate(Path(path).read_bytes())
    except (OSError, ValueError):
        return f"the broker refuses our certificate, {path!r}"
    now = datetime.now(UTC)
    if now > own.not_valid_after_utc:
        return f"our certificate {path!r} expired on {own.not_valid_after_utc:%Y-%m-%d}: renew it"
    if now < own.not_valid_before_utc:
        return f"our certificate {path!r} is valid only from {own.not_valid_before_utc:%Y-%m-%d} on"
    return (
        f"the broker does not trust our certificate {path!r}, which "
        f"{own.issuer.rfc4514_string()!r} has issued: have one issued by an authority that the "
        "broker trusts (its ssl.truststore)"
    )
