"""The local broker's parts that need no broker: Java, ports, settings, files."""

import os
import socket
import threading
from pathlib import Path

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from weir.broker import BrokerError, BrokerSettings, LocalBroker, java
from weir.broker.config import log4j2_properties, server_properties
from weir.broker.errors import PortInUseError
from weir.broker.failure import failure
from weir.broker.lock import exclusive
from weir.broker.ports import choose_ports, free_port
from weir.broker.process import find_process
from weir.broker.state import Layout, Ports, State
from weir.commands.cluster.broker import NOT_RUNNING, app, broker_settings

# Java


def fake_java(folder: Path, version: str, code: int = 0) -> Path:
    path = folder / "bin" / "java"
    path.parent.mkdir(parents=True)
    path.write_text(
        f"#!/bin/sh\necho 'openjdk version \"{version}\" 2025-01-01' >&2\nexit {code}\n"
    )
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("version", "release"),
    [("17.0.15", 17), ("1.8.0_392", 8), ("25", 25), ("26-ea", 26), ("nonsense", None)],
)
def test_the_release_of_java_is_read(tmp_path: Path, version: str, release: int | None) -> None:
    assert java.java_release(fake_java(tmp_path, version)) == release


def test_what_is_no_java_has_no_release(tmp_path: Path) -> None:
    assert java.java_release(tmp_path / "absent") is None
    assert java.java_release(fake_java(tmp_path, "17", code=1)) is None


def test_java_home_wins_unless_it_is_too_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new, other = (
        fake_java(tmp_path / version, version) for version in ("11.0.2", "17.0.1", "21")
    )
    monkeypatch.setenv("PATH", f"{other.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("JAVA_HOME", str(new.parents[1]))
    assert java.find_java() == java.Java(new, 17)
    monkeypatch.setenv("JAVA_HOME", str(old.parents[1]))
    assert java.find_java() == java.Java(other, 21)
    assert java.find_java(new) == java.Java(new, 17)
    with pytest.raises(BrokerError, match=r"broker\.java.*is Java 11; Kafka needs 17"):
        java.find_java(old)


def test_without_java_the_error_says_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = fake_java(tmp_path, "11.0.2")
    monkeypatch.setattr(java, "_candidates", lambda: iter([("JAVA_HOME", old)]))
    with pytest.raises(
        BrokerError, match=r"JAVA_HOME: .* is Java 11\).*pip install 'weir\[java\]'"
    ):
        java.find_java()


# Ports


def test_a_remembered_port_is_kept_while_it_is_free() -> None:
    settings = BrokerSettings(port=0)
    before = Ports(free_port("127.0.0.1"), free_port("127.0.0.1"))
    assert choose_ports(settings, before) == before
    with socket.create_server(("127.0.0.1", before.client)):
        now = choose_ports(settings, before)
    assert now.client not in (before.client, now.controller)
    assert now.controller == before.controller


def test_a_wanted_port_is_taken_or_refused() -> None:
    wanted = free_port("127.0.0.1")
    assert choose_ports(BrokerSettings(port=wanted), Ports(1, 2)).client == wanted
    with (
        socket.create_server(("127.0.0.1", wanted)),
        pytest.raises(PortInUseError, match=rf"port {wanted} of 127\.0\.0\.1 is in use"),
    ):
        choose_ports(BrokerSettings(port=wanted), None)
    with pytest.raises(PortInUseError, match=r"broker\.controller_port"):
        choose_ports(BrokerSettings(port=wanted, controller_port=wanted), None)


def test_a_chosen_port_is_none_that_outgoing_connections_are_given() -> None:
    """Else a client that seeks a broker that is down can take the broker's port."""
    ports = choose_ports(BrokerSettings(port=0, listeners={"INNER": 0}), None)
    every = {ports.client, ports.controller, *ports.more.values()}
    assert len(every) == 3
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert max(every) < 30_000 < server.getsockname()[1]


def test_a_port_of_our_own_that_is_held_a_moment_longer_is_waited_for() -> None:
    wanted = free_port("127.0.0.1")
    held = socket.create_server(("127.0.0.1", wanted))
    timer = threading.Timer(0.5, held.close)
    timer.start()
    assert choose_ports(BrokerSettings(port=wanted), Ports(wanted, 2)).client == wanted
    timer.join()


def test_a_host_of_another_machine_is_refused() -> None:
    with pytest.raises(BrokerError, match=r"broker\.host: '192\.0\.2\.1' is no address"):
        choose_ports(BrokerSettings(host="192.0.2.1", port=0), None)


# Settings and what Kafka reads


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"data_dir": "a,b"}, "commas"),
        ({"heap": "lots"}, "heap"),
        ({"port": 70_000}, "65535"),
        ({"maven_repository": "mirror"}, "https://"),
        ({"properties": {"log.dirs": "/x"}}, "set by data_dir"),
        ({"properties": {"listeners": "x"}}, "set by host, port, listeners and"),
        ({"listeners": {"CLIENT": 0}}, "neither CLIENT nor CONTROLLER"),
        ({"listeners": {"mtls": 0}}, "capital letters"),
        ({"listeners": {"MTLS": 70_000}}, "no port"),
        ({"scram_passwords": {"a": ""}}, "empty"),
        ({"scram_passwords": {"a": "x,y"}}, "no comma"),
        ({"scram_password_files": {"a": "/none"}}, r"scram_password_files\.a: there is no file"),
        ({"prot": 1}, "prot"),
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        BrokerSettings.model_validate(wrong)


def test_the_cache_is_in_the_users_cache_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert BrokerSettings().cache_dir == Path("/cache/weir")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/someone")
    assert BrokerSettings().cache_dir == Path("/home/someone/.cache/weir")


def test_more_properties_win_and_are_escaped() -> None:
    settings = BrokerSettings(
        host="0.0.0.0",
        properties={"message.max.bytes": "5", "sasl.jaas": 'a="b\\c";\nd é', "x y": "#1"},
    )
    lines = server_properties(settings, Ports(1, 2), Path("/t")).splitlines()
    assert "message.max.bytes=5" in lines
    assert r'sasl.jaas=a\="b\\c";\u000ad\ \u00e9' in lines
    assert r"x\ y=\#1" in lines
    assert r"listeners=CLIENT\://0.0.0.0\:1,CONTROLLER\://127.0.0.1\:2" in lines
    assert r"advertised.listeners=CLIENT\://127.0.0.1\:1" in lines


def test_the_log_is_bounded() -> None:
    text = log4j2_properties(Path("/data/server.log"))
    assert "appender.file.policies.size.size=20MB\n" in text
    assert "appender.file.strategy.max=3\n" in text


# The data folder


@pytest.mark.parametrize(
    "content", ["", "no number", "99999999", pytest.param(str(os.getpid()), id="this process"), "0"]
)
def test_a_stale_pid_file_is_no_broker(tmp_path: Path, content: str) -> None:
    layout = Layout(tmp_path)
    layout.pid.write_text(content)
    assert find_process(layout) is None
    broker = LocalBroker(BrokerSettings(data_dir=tmp_path))
    assert not broker.stop()
    assert not layout.pid.exists()


def test_state_is_kept_and_damage_is_no_crash(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    assert layout.read_state() is None
    layout.write_state(State(Ports(1, 2), "4.4.0"))
    assert layout.read_state() == State(Ports(1, 2), "4.4.0")
    for damage in ("", "[]", "{}", '{"ports": {"client": 1}, "version": "4"}'):
        layout.state.write_text(damage)
        assert layout.read_state() is None


def test_a_second_start_waits_for_the_first(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with (
        exclusive(path, 1),
        pytest.raises(BrokerError, match="another start of the broker"),
        exclusive(path, 0.1),
    ):
        pass
    with exclusive(path, 0.1):
        pass


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("java.io.IOException: No space left on device", "the disk is full"),
        ("java.lang.OutOfMemoryError: Java heap space", r"raise `broker\.heap`"),
        ("java.net.BindException: Address already in use", "a port was taken"),
        ("UnsupportedVersionException: Can't read version 4 of BrokerEndpoint", "a newer Kafka"),
    ],
)
def test_a_known_cause_is_read_from_this_starts_log(tmp_path: Path, line: str, words: str) -> None:
    layout = Layout(tmp_path)
    layout.log.write_text(f"{line}\n" + "\tat kafka.Kafka.main(Kafka.scala)\n" * 50)
    assert words not in str(failure("ended", layout, layout.log.stat().st_size))
    with pytest.raises(BrokerError, match=words) as told:
        raise failure("ended", layout, 0)
    assert line in str(told.value)


# The command line


@pytest.fixture
def _no_settings_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WEIR_CONFIG", raising=False)


@pytest.mark.usefixtures("_no_settings_file")
def test_status_of_what_does_not_run_exits_with_3(tmp_path: Path) -> None:
    answer = CliRunner().invoke(app, ["status", "--json"])
    assert answer.exit_code == NOT_RUNNING == 3
    assert '"running": false' in answer.stdout
    assert str(tmp_path / "var" / "broker") in answer.stdout
    assert "not running" in CliRunner().invoke(app, ["status"]).stdout
    assert CliRunner().invoke(app, ["stop"]).exit_code == 0


@pytest.mark.usefixtures("_no_settings_file")
def test_options_win_over_defaults() -> None:
    assert broker_settings(None, None) == BrokerSettings()
    assert broker_settings(Path("/d"), 0) == BrokerSettings(data_dir=Path("/d"), port=0)
    answer = CliRunner().invoke(app, ["start", "--data-dir", "a,b"])
    assert answer.exit_code == 2
    assert "commas" in answer.stderr


def test_the_folder_is_its_owners_alone_also_when_it_was_there(tmp_path: Path) -> None:
    new, known = Layout(tmp_path / "a" / "new"), Layout(tmp_path / "known")
    known.topics.mkdir(parents=True)
    for folder in (known.root, known.topics):
        folder.chmod(0o755)
    for layout in (new, known):
        layout.make()
    for folder in (new.root, known.root, known.topics):
        assert folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_of_everybody_is_left_and_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    Layout(shared).make()
    assert shared.stat().st_mode & 0o1777 == 0o1777
    assert "broker.data_dir" in caplog.text
