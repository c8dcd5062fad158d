"""Kafka's jars: pinned, fetched, verified, and every way that this fails."""

import errno
import hashlib
import os
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from weir.broker import BrokerError, download
from weir.broker.errors import explain_os_errors
from weir.broker.jars import Jar, kafka_version, provide, read_lock


def make_jar(artifact: str, content: bytes) -> Jar:
    return Jar("org.example", artifact, "1.0", len(content), hashlib.sha256(content).hexdigest())


CONTENT = {name: os.urandom(300_000) for name in ("kafka-clients", "other")}
JARS = [make_jar(name, content) for name, content in CONTENT.items()]


class Repository:
    """A Maven repository on the loopback that fails as it is told."""

    def __init__(self) -> None:
        self.answers = {f"/{jar.path_in_repository}": CONTENT[jar.artifact] for jar in JARS}
        self.faults: list[str] = []
        self.requests: list[str] = []
        repository = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                repository.requests.append(self.path)
                fault = repository.faults.pop(0) if repository.faults else ""
                content = repository.answers.get(self.path)
                if fault == "busy" or content is None:
                    self.send_error(503 if fault else 404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content[: len(content) // 2] if fault == "cut" else content)

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def repository(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Repository]:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(download, "_PAUSE_S", 0.01)
    repository = Repository()
    thread = threading.Thread(target=repository.server.serve_forever, args=(0.01,))
    thread.start()
    yield repository
    repository.server.shutdown()
    thread.join()
    repository.server.server_close()


def assert_whole(paths: list[Path]) -> None:
    assert [path.read_bytes() for path in paths] == list(CONTENT.values())
    assert {path.name for path in paths[0].parent.iterdir()} == {path.name for path in paths}


# Jars


def test_the_lock_file_pins_a_whole_kafka() -> None:
    jars = read_lock()
    assert all(len(bytes.fromhex(jar.sha256)) == 32 and jar.size > 0 for jar in jars)
    assert len({jar.file_name for jar in jars}) == len(jars)
    assert {"kafka_2.13", "kafka-clients", "scala-library"} < {jar.artifact for jar in jars}
    of_kafka = {jar.version for jar in jars if jar.group == "org.apache.kafka"}
    assert of_kafka == {kafka_version(jars)}


def test_jars_are_fetched_once_and_progress_adds_up(repository: Repository, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    for _ in range(2):
        paths = provide(JARS, tmp_path, repository.url, lambda _, d=0, t=0: seen.append((d, t)))
        assert_whole(paths)
    assert len(repository.requests) == len(JARS)
    assert seen[-1] == (600_000, 600_000)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


@pytest.mark.parametrize("damage", [b"", b"short", b"x" * 300_000])
def test_a_damaged_jar_is_fetched_again(
    repository: Repository, tmp_path: Path, damage: bytes
) -> None:
    first = provide(JARS, tmp_path, repository.url)
    first[1].write_bytes(damage)
    assert_whole(provide(JARS, tmp_path, repository.url))
    assert len(repository.requests) == len(JARS) + 1


@pytest.mark.parametrize("fault", ["busy", "cut"])
def test_a_passing_fault_is_tried_again(repository: Repository, tmp_path: Path, fault: str) -> None:
    repository.faults = [fault, fault]
    seen: list[int] = []
    paths = provide(JARS, tmp_path, repository.url, lambda _, d=0, t=0: seen.append(d))
    assert_whole(paths)
    assert seen[-1] == 600_000


@pytest.mark.parametrize("fault", ["busy", "cut"])
def test_a_lasting_fault_is_told_and_leaves_no_part(
    repository: Repository, tmp_path: Path, fault: str
) -> None:
    repository.faults = [fault] * 100
    with pytest.raises(BrokerError, match=r"cannot fetch http.*maven_repository"):
        provide(JARS, tmp_path, repository.url)
    assert list(tmp_path.glob("kafka-*/*")) == []


def test_a_jar_that_is_not_there_is_told_without_another_try(
    repository: Repository, tmp_path: Path
) -> None:
    del repository.answers[f"/{JARS[1].path_in_repository}"]
    with pytest.raises(BrokerError, match=r"other-1\.0\.jar: the server answered 404"):
        provide(JARS, tmp_path, repository.url)
    assert repository.requests.count(f"/{JARS[1].path_in_repository}") == 1


def test_a_jar_with_another_checksum_is_refused(repository: Repository, tmp_path: Path) -> None:
    repository.answers[f"/{JARS[1].path_in_repository}"] = b"x" * 300_000
    with pytest.raises(BrokerError, match=f"expected {JARS[1].sha256}"):
        provide(JARS, tmp_path, repository.url)
    assert not list(tmp_path.glob("kafka-*/*other*"))


def test_offline_is_told(repository: Repository, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed = f"http://127.0.0.1:{server.getsockname()[1]}"
    with pytest.raises(BrokerError, match=r"refused.*Check the network"):
        provide(JARS, tmp_path, closed)


def test_a_folder_is_a_repository_too(repository: Repository, tmp_path: Path) -> None:
    root = tmp_path / "a mirror"
    for jar in JARS:
        path = root / jar.path_in_repository
        path.parent.mkdir(parents=True)
        path.write_bytes(CONTENT[jar.artifact])
    assert_whole(provide(JARS, tmp_path / "cache", root.as_uri()))
    path.unlink()
    with pytest.raises(BrokerError, match=r"other-1\.0\.jar is not there"):
        provide(JARS, tmp_path / "another cache", root.as_uri())


def test_mavens_local_repository_is_used_only_where_it_is_right(
    repository: Repository, tmp_path: Path
) -> None:
    for jar, content in zip(JARS, (CONTENT["kafka-clients"], b"damaged"), strict=True):
        path = tmp_path / "home" / ".m2" / "repository" / jar.path_in_repository
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
    assert_whole(provide(JARS, tmp_path, repository.url))
    assert repository.requests == [f"/{JARS[1].path_in_repository}"]


def test_several_at_once_share_a_cache(repository: Repository, tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        results = pool.map(lambda _: provide(JARS, tmp_path, repository.url), range(4))
        for paths in results:
            assert [path.read_bytes() for path in paths] == list(CONTENT.values())


def test_a_cache_that_is_a_file_is_told(repository: Repository, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("")
    with pytest.raises(BrokerError, match=r"cache.*`broker\.cache_dir`"):
        provide(JARS, tmp_path / "cache", repository.url)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSPC, "no space left on the disk"),
        (errno.EROFS, "not writable"),
        (errno.ENOTDIR, "a file is where a folder should be"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_errors_of_files_name_folder_and_key(code: int, words: str) -> None:
    with (
        pytest.raises(BrokerError, match=rf"^/data: {words}.*`broker\.data_dir`"),
        explain_os_errors(Path("/data"), "broker.data_dir"),
    ):
        raise OSError(code, os.strerror(code))
