"""Who may ask a process's HTTP port for what: TLS, a login, certificates of clients."""

import base64
import binascii
import ssl
from dataclasses import dataclass
from hmac import compare_digest

from streams.base.secrets import secret_of
from weir.config.errors import SettingsError
from weir.config.metrics_settings import MetricsSettings

HEALTH = frozenset({"/livez", "/readyz"})
"""Open to all: a probe of Kubernetes has neither a password nor a certificate."""


@dataclass(frozen=True)
class Door:
    """What somebody has to bring who asks for a page.

    Attributes:
        tls: what connections are wrapped in; None for plain HTTP.
        login: user and password of HTTP basic authentication; None if none is asked for.
        token: what whoever acts has to bring in place of a login; None if nobody may.
        wants_certificate: whether it takes a certificate that the client's authority signed.
        open_to_all: paths that take neither.
    """

    tls: ssl.SSLContext | None = None
    login: tuple[str, str] | None = None
    token: str | None = None
    wants_certificate: bool = False
    open_to_all: frozenset[str] = HEALTH

    def lets_in(self, path: str, authorization: str, has_certificate: bool) -> bool:
        """Whether a request may be answered.

        Args:
            authorization: the header; empty if there is none.
            has_certificate: whether the client showed one that TLS has found right.
        """
        if path in self.open_to_all:
            return True
        if self.wants_certificate and not has_certificate:
            return False
        return self.login is None or _is_login(authorization, *self.login)

    def lets_act(self, authorization: str, has_certificate: bool) -> bool:
        """Whether a request may change anything; see `lets_in`."""
        if self.token is None or (self.wants_certificate and not has_certificate):
            return False
        return _is_token(authorization, self.token)


def door_of(settings: MetricsSettings) -> Door:
    """The door that the settings make.

    Raises:
        SettingsError: certificate and key make none.
    """
    password = secret_of(settings, "password")
    login = None
    if settings.username is not None and password is not None:
        login = (settings.username, password)
    wants_certificate = settings.tls_client_ca is not None
    return Door(_tls(settings), login, secret_of(settings, "token"), wants_certificate)


def _tls(settings: MetricsSettings) -> ssl.SSLContext | None:
    if settings.tls_certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    try:
        # Without a password of ours OpenSSL would ask the terminal for that of an encrypted key.
        context.load_cert_chain(settings.tls_certificate, settings.tls_key, password=lambda: "")
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"metrics.tls_certificate {str(settings.tls_certificate)!r} and metrics.tls_key "
            f"{str(settings.tls_key)!r} can't be used: {error}. Name a certificate and its key in "
            "PEM, the key not encrypted"
        ) from error
    if settings.tls_client_ca is not None:
        try:
            context.load_verify_locations(settings.tls_client_ca)
        except (OSError, ValueError) as error:
            raise SettingsError(
                f"metrics.tls_client_ca {str(settings.tls_client_ca)!r} can't be used: {error}. "
                "Name the certificate of an authority in PEM"
            ) from error
        context.verify_mode = ssl.CERT_OPTIONAL  # a probe shows none
    return context


def _is_login(authorization: str, username: str, password: str) -> bool:
    kind, _, given = authorization.partition(" ")
    try:
        said = base64.b64decode(given.strip(), validate=True)
    except (binascii.Error, ValueError):
        return False
    wanted = f"{username}:{password}".encode()
    return compare_digest(said, wanted) and kind.lower() == "basic"


def _is_token(authorization: str, token: str) -> bool:
    kind, _, given = authorization.partition(" ")
    same = compare_digest(given.strip().encode(), token.encode())
    return same and kind.lower() == "bearer"
