"""A certificate authority of its own, and the certificates that it issues."""

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

NOW = datetime.now(UTC)


class Certificate(NamedTuple):
    """Files in PEM; `both` is key and chain in one, as Kafka's PEM key store wants them."""

    certificate: Path
    key: Path
    both: Path


class Authority:
    """Issues certificates into a folder; `certificate` is the file that others trust."""

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        own = (
            _draft(self._name, self._name, self._key, NOW + timedelta(days=2))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.certificate = folder / "ca.pem"
        self.certificate.write_bytes(own.public_bytes(Encoding.PEM))

    def issue(
        self,
        name: str,
        host: str | None = None,
        *,
        until: timedelta = timedelta(days=1),
        password: bytes | None = None,
    ) -> Certificate:
        """A certificate for ``CN=name``, and for a host (an address or a name) as its server."""
        key = ec.generate_private_key(ec.SECP256R1())
        draft = _draft(_name(name), self._name, key, NOW + until)
        if host is not None:
            draft = draft.add_extension(x509.SubjectAlternativeName([_host(host)]), critical=False)
        issued = draft.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)
        files = Certificate(
            *(self._folder / f"{name}.{kind}.pem" for kind in ("crt", "key", "all"))
        )
        hidden: KeySerializationEncryption = NoEncryption()
        if password is not None:
            hidden = BestAvailableEncryption(password)
        secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, hidden)
        files.certificate.write_bytes(issued)
        files.key.write_bytes(secret)
        files.both.write_bytes(secret + issued)
        return files


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _draft(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, until: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=3))
        .not_valid_after(until)
    )
