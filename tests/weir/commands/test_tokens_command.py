"""``weir tokens`` as a user runs it."""

import io
import json
import re
from pathlib import Path

import pytest
from front_door import write_settings

from explain.writing.key_ring import KeyRing


@pytest.fixture
def ring(tmp_path: Path) -> Path:
    return tmp_path / "keys" / "ring"


@pytest.fixture
def config(tmp_path: Path, ring: Path) -> Path:
    return write_settings(tmp_path / "weir.toml", explain={"key_ring": str(ring)})


def test_a_ring_is_made_once(run, config, ring):
    assert run("tokens", "make", "-c", config) == (
        0,
        f"{ring}: made; keep a copy, and keep it secret\n",
        "",
    )
    content = ring.read_bytes()
    code, out, err = run("tokens", "make", "-c", config, "--json")
    assert (code, out) == (1, "")
    assert f"{ring} is there already" in err
    assert ring.read_bytes() == content


def test_a_token_is_looked_up_and_erased(run, config, ring, monkeypatch):
    run("tokens", "make", "-c", config)
    with KeyRing(ring) as opened:
        token = opened.subject("customer_id", 373).token
    assert run("tokens", "show", "373", "-c", config) == (0, f"{token}\n", "")
    assert run("tokens", "show", "0373", "-c", config)[1] == f"{token}\n"
    assert json.loads(run("tokens", "show", "373", "-c", config, "--json")[1])["token"] == token
    code, out, _ = run("tokens", "show", "373", "--field", "terminal_id", "-c", config)
    assert (code, out) == (1, "no terminal_id of this value has a token\n")

    assert "--yes destroys" in run("tokens", "erase", "373", "-c", config)[1]
    assert run("tokens", "show", "373", "-c", config)[0] == 0
    monkeypatch.setattr("sys.stdin", io.StringIO("373\n"))
    code, out, err = run("tokens", "erase", "-", "--yes", "-c", config)
    assert (code, err) == (0, "")
    assert out.startswith("erased: ")
    assert run("tokens", "show", "373", "-c", config)[0] == 1
    again = json.loads(run("tokens", "erase", "373", "--yes", "-c", config, "--json")[1])
    assert again == {"field": "customer_id", "known": False, "erased": False}
    assert "nothing to erase" in run("tokens", "erase", "373", "-c", config)[1]


def test_the_store_keeps_who_erased_and_not_whom(run, config, ring):
    run("tokens", "make", "-c", config)
    with KeyRing(ring) as opened:
        tokens = [opened.subject("customer_id", number).token for number in (373, 374)]
    assert run("tokens", "erase", "373", "--yes", "-c", config)[0] == 0
    assert list(config.parent.rglob("*.db")) == []  # there is no store, and none is made for it
    run("audit", "key", "-c", config)
    run("audit", "log", "-c", config)
    asked = ("tokens", "erase", "374", "--by", "ada", "--note", "request 8", "-c", config)
    assert run(*asked)[0] == 0
    assert run("audit", "log", "-c", config)[1] == "nobody has read anything yet\n"
    assert run(*asked, "--yes")[0] == 0
    said = run("audit", "log", "-c", config)[1]
    assert "ada  erase field=customer_id  1  request 8" in " ".join(said.split(" ")[4:])
    assert not any(token in said or "374" in said for token in tokens)


def test_a_string_is_taken_as_it_is(run, config, ring):
    run("tokens", "make", "-c", config)
    with KeyRing(ring) as opened:
        token = opened.subject("merchant_category", "0373").token
    ask = ("tokens", "show", "0373", "--field", "merchant_category", "-c", config)
    assert run(*ask)[1] == f"{token}\n"


def test_mistakes_are_named(run, config, ring, tmp_path):
    code, _, err = run("tokens", "show", "373", "-c", config)
    assert (code, "weir tokens make" in err) == (1, True)
    run("tokens", "make", "-c", config)
    for arguments, says in (
        (("show", "somebody"), "customer_id is an int field"),
        (("show", str(2**63)), "customer_id is an int field: .* beyond 64 bits"),
        (("show", "1", "--field", "card"), r"--field: 'card' is not among event\.fields"),
    ):
        code, out, err = run("tokens", *arguments, "-c", config)
        assert (code, out) == (2, "")
        assert re.search(says, err)
        assert "somebody" not in err
    ring.chmod(0o644)
    code, _, err = run("tokens", "show", "1", "-c", config)
    assert (code, f"chmod 600 {ring}" in err) == (1, True)
    plain = write_settings(tmp_path / "plain.toml")
    code, _, err = run("tokens", "make", "-c", plain)
    assert (code, "explain.key_ring" in err) == (2, True)
