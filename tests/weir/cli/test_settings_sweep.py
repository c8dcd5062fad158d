"""Whatever is written into any setting, no secret and no control character comes out again."""

import io
import json
import logging
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from front_door import write_settings
from pydantic import BaseModel

from streams.base.safe_text import visible
from streams.base.secret_fields import is_secret
from streams.base.section import Section
from weir.cli.console import print_json, stderr, stdout
from weir.cli.exit_codes import explain
from weir.config import logs
from weir.config.settings import Settings, load_settings

MARK = "opensesame"
KEY = f"-----BEGIN PRIVATE KEY-----\n{MARK}\n-----END PRIVATE KEY-----"
NASTY = "\x1b]0;pwned\x07\x1b[2J\x9b31m\x7f\u202e\u2066\u200b\u2028\nerror: forged"
LOGIN = f"postgresql://clerk:{MARK}@h/d?user=clerk&password={MARK} {KEY}{NASTY}"
LONG = f"https://clerk:{MARK}{'x' * 60}@h"
"""What is cut must be masked before."""
SECRETS = (
    f"http://clerk:{MARK} two@h",
    f"http://h:1,http://clerk:{MARK}@i",
    MARK,
    f"{MARK}\x1b",
    f"a'\"\\{MARK}",
    f"clerk:{MARK}@h",
    f"postgresql://clerk:{MARK}@h/d",
)
"""What only a setting that is a secret by its type makes one."""


SOUNDS_SECRET = re.compile(
    r"password|secret|token|key|ur[li]$|location|repository|credential|login|auth|jaas|pem|sasl"
    r"|properties|client|consumer|producer"
)
NO_SECRETS = {
    "event.key": "the name of a field",
    "explain.key_ring": "a file",
    "kafka.sasl_mechanism": "is the same for all",
    "kafka.sasl_username": "stands in messages: who may not do what",
    "kafka.ssl_ca_location": "a file",
    "kafka.ssl_certificate_location": "a file",
    "kafka.ssl_key_location": "a file",
    "metrics.tls_client_ca": "a file",
    "metrics.tls_key": "a file",
    "monitor.producer": "the name of a field, or of a header",
    "signing.trusted_keys": "names, and files of public keys",
    "schema_registry.ssl_ca_location": "a file",
    "schema_registry.ssl_certificate_location": "a file",
    "schema_registry.ssl_key_location": "a file",
    "stages.keyed": "yes or no",
    "store.trusted_keys": "files",
}
"""Settings that sound as if they held a secret, and why they may be shown."""


def leaves(model: type[BaseModel], *above: str) -> Iterator[tuple[str, ...]]:
    """The places of all settings that are no table of further ones."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from leaves(kind, *above, name)
        else:
            yield (*above, name)


LEAVES = list(leaves(Settings))


def tables(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """All tables, wherever in a type they are named."""
    yield model
    for field in model.model_fields.values():
        for kind in parts(field.annotation):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from tables(kind)


def parts(kind: Any) -> Iterator[Any]:
    yield kind
    for each in getattr(kind, "__args__", ()):
        yield from parts(each)


class Said:
    """All that is said of a settings file, in every way that there is."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self._stream = io.StringIO()
        self._logger = logging.getLogger("weir.sweep")
        self._handlers = [logging.StreamHandler(self._stream) for _ in range(2)]
        for handler, form in zip(
            self._handlers, (logs.TextFormatter(), logs.JsonFormatter("sweep")), strict=True
        ):
            handler.setFormatter(form)
            self._logger.addHandler(handler)
        self._logger.propagate = False

    def close(self) -> None:
        for handler in self._handlers:
            self._logger.removeHandler(handler)
        self._logger.propagate = True

    def of(self, file: Path, section: str) -> str:
        try:
            settings = getattr(load_settings(file), section)
        except Exception as error:
            explain(error)
            self._logger.exception("it failed: %s", error)
            sys.excepthook(type(error), error, error.__traceback__)
        else:
            stdout.print(str(settings))
            stderr.print(repr(settings), soft_wrap=True)
            print_json({"settings": settings})
            self._logger.warning("read %r", settings)
        captured = self._capsys.readouterr()
        said = captured.out + captured.err + self._stream.getvalue()
        self._stream.seek(0)
        self._stream.truncate()
        return said


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Said]:
    hooks = sys.excepthook, sys.unraisablehook
    monkeypatch.setattr("threading.excepthook", None)
    logs.mask_tracebacks()
    told = Said(capsys)
    yield told
    told.close()
    sys.excepthook, sys.unraisablehook = hooks


def check(text: str, where: str) -> None:
    assert text, where
    if MARK in text:  # that of a setting that is none is no secret: a login, or a key, is one
        pytest.fail(f"{where}: {text[max(0, text.index(MARK) - 200) : text.index(MARK) + 20]!r}")
    lines = text.split("\n")
    raw = {each for line in lines for each in line if visible(each) != each}
    assert not raw, f"{where}: {raw}"
    forged = [line for line in lines if line.startswith("error: forged")]
    assert not forged, where


def planted(place: tuple[str, ...], value: Any) -> dict[str, Any]:
    for name in reversed(place):
        value = {name: value}
    return value


def over(lower: dict[str, Any], upper: dict[str, Any]) -> dict[str, Any]:
    nested = {
        name: over(lower[name], value)
        for name, value in upper.items()
        if isinstance(value, dict) and isinstance(lower.get(name), dict)
    }
    return lower | upper | nested


def settings_file(path: Path) -> Path:
    """With one feature: a thousand files are read."""
    return write_settings(path, features=[{"name": "amount", "kind": "field", "field": "amount"}])


def example(folder: Path) -> dict[str, Any]:
    return tomllib.loads(settings_file(folder / "example.toml").read_text(encoding="utf-8"))


def wrong_values(section: str, each_alone: bool = False) -> Iterator[dict[tuple[str, ...], Any]]:
    """What is given in place of a section's settings: by their places."""
    places = [each for each in LEAVES if each[0] == section]
    for value in (LOGIN, LONG, [LOGIN], {f"a{NASTY}": LOGIN}):
        yield dict.fromkeys(places, value)
    for place in places:
        if each_alone:
            yield {place: LOGIN}
        if is_secret(Settings, place):
            for value in (*SECRETS, [MARK], {"sasl.password": MARK}, [[{"b": MARK}]]):
                yield {place: value}


@pytest.mark.parametrize("section", list(Settings.model_fields))
def test_no_setting_in_the_file_comes_out(section: str, said: Said, tmp_path: Path) -> None:
    file = tmp_path / "weir.toml"
    for wrong in wrong_values(section, each_alone=True):
        values = example(tmp_path)
        for place, value in wrong.items():
            values = over(values, planted(place, value))
        file.write_text(tomli_w.dumps(values), encoding="utf-8")
        check(said.of(file, section), f"{wrong}")


@pytest.mark.parametrize("section", list(Settings.model_fields))
def test_no_setting_in_the_environment_comes_out(
    section: str, said: Said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = settings_file(tmp_path / "weir.toml")
    for wrong in wrong_values(section):
        with monkeypatch.context() as patch:
            for place, value in wrong.items():
                text = value if isinstance(value, str) else json.dumps(value)
                patch.setenv("WEIR_" + "__".join(place).upper(), text)
            check(said.of(file, section), f"{wrong}")


def test_no_key_that_nobody_knows_comes_out(said: Said, tmp_path: Path) -> None:
    values = example(tmp_path)
    file = tmp_path / "weir.toml"
    for place in {place[:-1] for place in LEAVES}:
        for key in ("pasword", f"x{NASTY}"):
            for value in ([MARK], LOGIN):
                known = over(values, planted((*place, key), value))
                file.write_text(tomli_w.dumps(known), encoding="utf-8")
                check(said.of(file, "log"), f"{'.'.join((*place, key))} = {value!r}")


def test_no_whole_section_of_a_wrong_kind_comes_out(
    said: Said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = example(tmp_path)
    file, whole = tmp_path / "weir.toml", settings_file(tmp_path / "whole.toml")
    for section in Settings.model_fields:
        for value in (LOGIN, [LOGIN], [KEY]):
            file.write_text(tomli_w.dumps(values | {section: value}), encoding="utf-8")
            check(said.of(file, section), f"{section} = {value!r}")
        secret = [MARK] if is_secret(Settings, (section,)) else LOGIN
        for text in (json.dumps(secret), "{" + LOGIN):
            monkeypatch.setenv(f"WEIR_{section.upper()}", text)
            check(said.of(whole, section), f"WEIR_{section.upper()}={text!r}")
            monkeypatch.delenv(f"WEIR_{section.upper()}")


def test_what_sounds_like_a_secret_is_one_by_its_type() -> None:
    sounding = {place for place in LEAVES if SOUNDS_SECRET.search(place[-1])}
    files = {place for place in sounding if re.search("_files?$", place[-1])}
    unmarked = {".".join(each) for each in sounding - files if not is_secret(Settings, each)}
    assert unmarked == NO_SECRETS.keys(), "a new one is a SecretStr or a LoginUrl, or is listed"


def test_every_table_masks_what_it_is_given() -> None:
    strange = {each for each in tables(Settings) if not issubclass(each, Section | Settings)}
    assert not strange, "its base is no Section, which remembers secrets before they are checked"


def test_the_secret_in_a_file_is_masked_in_what_others_say(tmp_path: Path, said: Said) -> None:
    secret = tmp_path / "password"
    secret.write_text(f"{MARK}\n", encoding="utf-8")
    files = ("kafka.sasl_password_file", "metrics.password_file", "schema_registry.password_file")
    for name in files:
        section, key = name.split(".")
        more = {} if section == "kafka" else {"username": "ada"}
        file = write_settings(tmp_path / "weir.toml", **{section: {key: str(secret), **more}})
        load_settings(file)
        for logger in ("urllib3", "sqlalchemy.engine", "librdkafka"):
            record = logging.makeLogRecord(
                {"name": logger, "levelno": 30, "msg": "tried %s", "args": (MARK,)}
            )
            assert MARK not in logs.TextFormatter().format(record)
            assert MARK not in logs.JsonFormatter("score").format(record)


def test_a_traceback_keeps_its_lines_and_loses_its_secrets() -> None:
    try:
        raise ValueError(LOGIN)
    except ValueError:
        caught = sys.exc_info()
    text = logs.TextFormatter().format(
        logging.makeLogRecord({"name": "a", "msg": "one\ntwo", "exc_info": caught})
    )
    first, *rest = text.split("\n")
    assert first.endswith("one\\ntwo")
    assert rest[0] == "  Traceback (most recent call last):"
    assert any("in test_a_traceback_keeps_its_lines" in line for line in rest)
    assert all(line.startswith("  ") for line in rest)
    check(text, "a traceback")
