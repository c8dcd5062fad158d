"""`weir acls`: the table, the lines for Kafka's tool, and JSON say the same."""

import argparse
import json
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from front_door import write_settings

from streams.kafka.rights.acl import Acl
from streams.kafka.rights.acls import acls_of
from streams.kafka.rights.process import COMMANDS, Process
from weir.commands.cluster.acls import script_lines
from weir.config.settings import load_settings
from weir.main import main
from weir.services.wiring import usage

SECURITY = (Path(__file__).parents[3] / "docs" / "security.md").read_text()

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_settings(
        tmp_path / "weir.toml", loop={"group": "it's ours"}, topics={"scores": "bank.scores"}
    )


@pytest.fixture
def run(config: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    for name in [name for name in os.environ if name.startswith("WEIR_")]:
        monkeypatch.delenv(name)

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["weir", "acls", "-c", str(config), *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        said = capfd.readouterr()
        assert isinstance(end.value.code, int)
        return end.value.code, said.out, said.err

    return run


def understood(line: str) -> tuple[str, set[tuple[str, str, str, str]]]:
    """Principal and ACLs of a line, as Kafka's own tool reads it."""
    program, *words = shlex.split(line)
    assert program == "kafka-acls.sh"
    parser = argparse.ArgumentParser()
    for option in ("--bootstrap-server", "--command-config", "--allow-principal"):
        parser.add_argument(option, required=True)
    parser.add_argument("--add", action="store_true", required=True)
    parser.add_argument("--operation", action="append", required=True)
    parser.add_argument("--resource-pattern-type", default="literal")
    for resource in ("topic", "group", "transactional-id"):
        parser.add_argument(f"--{resource}", action="append", default=[], dest=resource)
    found = vars(parser.parse_args(words))
    return found["allow_principal"], {
        (operation, resource, name, found["resource_pattern_type"])
        for operation in found["operation"]
        for resource in ("topic", "group", "transactional-id")
        for name in found[resource]
    }


def plain(acls: list[Acl]) -> set[tuple[str, str, str, str]]:
    return {(acl.operation, acl.resource, acl.name, acl.pattern) for acl in acls}


@pytest.mark.parametrize("process", Process)
def test_json_and_lines_are_the_table_of_the_process(
    run: Run, config: Path, process: Process
) -> None:
    wanted = plain(acls_of(process, usage(load_settings(config))))
    code, out, _ = run("--process", process, "--json")
    assert code == 0
    said = json.loads(out)
    assert said["granted"] is False
    (only,) = said["processes"]
    assert (only["process"], only["principal"]) == (process, f"User:weir-{process}")
    assert {
        tuple(acl[key] for key in ("operation", "resource", "name", "pattern"))
        for acl in only["acls"]
    } == wanted
    in_lines: set[Any] = set()
    for line in only["kafka_acls"]:
        principal, acls = understood(line)
        assert principal == f"User:weir-{process}"
        assert not in_lines & acls
        in_lines |= acls
    assert in_lines == wanted


def test_the_script_is_nothing_but_lines(run: Run) -> None:
    code, out, err = run("--script", "--principal", "User:CN=Jo O'Hara,O=Bank")
    assert (code, err) == (0, "")
    acls: set[Any] = set()
    for line in out.splitlines():
        principal, some = understood(line)
        assert principal == "User:CN=Jo O'Hara,O=Bank"
        acls |= some
    assert ("Write", "topic", "bank.scores", "literal") in acls
    assert ("Read", "group", "it's ours", "literal") in acls


def test_a_prefix_is_said_to_kafkas_tool(config: Path) -> None:
    acl = Acl("Write", "transactional-id", "g-staged-", "prefixed")
    (line,) = script_lines(load_settings(config), "User:x", [acl])
    assert understood(line) == ("User:x", plain([acl]))


def test_people_get_a_table_for_each_process(run: Run) -> None:
    code, out, _ = run()
    assert code == 0
    for process in Process:
        assert f"{process}: weir " in out
    assert "kafka-acls.sh --bootstrap-server" in out


@pytest.mark.parametrize("process", Process)
def test_the_page_says_what_each_process_may_do(process: Process) -> None:
    (row,) = [line for line in SECURITY.splitlines() if line.startswith(f"| `{process}` |")]
    assert f"`{COMMANDS[process][0]}" in row


@pytest.mark.parametrize("arguments", [["--principal", "scorer"], ["--grant"]])
def test_wrong_options_are_told(run: Run, arguments: list[str]) -> None:
    code, _, err = run(*arguments)
    assert code == 2
    assert "User:scorer" in err
