"""Where compiled code is kept, and which is believed."""

import logging
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from streams.base import compiled_code
from streams.base.compiled_code import keep_in, kept_njit


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(compiled_code, "_data_folder", None)
    monkeypatch.setattr(compiled_code, "_refused", {})
    monkeypatch.setattr(compiled_code, "_said", False)
    keep_in(tmp_path / "data")


@pytest.fixture
def source(tmp_path: Path) -> Callable[..., Any]:
    """A function in a file of its own, anew at each call, as another process would find it."""
    file = tmp_path / "installed" / "sums.py"
    file.parent.mkdir()
    file.write_text("def add_one(number):\n    return number + 1\n")

    def load() -> Any:
        spec = spec_from_file_location("sums", file)
        assert spec is not None
        assert spec.loader is not None
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.add_one

    return load


def hits(function: Any) -> int:
    """How often its code came from disk."""
    dispatcher = kept_njit(nogil=True)(function)
    assert dispatcher(1) == 2
    return sum(dispatcher.stats.cache_hits.values())


def refuse_beside(folder: Path) -> None:
    """Let nothing be written beside the sources, not even by root."""
    (folder / "installed" / "__pycache__").write_text("no folder")


def test_it_is_kept_beside_the_sources_where_that_is_possible(
    source: Callable[[], Any], tmp_path: Path
) -> None:
    assert [hits(source()), hits(source())] == [0, 1]
    assert not (tmp_path / "data").exists()
    (tmp_path / "installed" / "__pycache__").chmod(0o555)
    assert hits(source()) == 1, "what lies there is read, whoever may write"


def test_else_it_is_kept_in_the_data_folder(source: Callable[[], Any], tmp_path: Path) -> None:
    refuse_beside(tmp_path)
    assert [hits(source()), hits(source())] == [0, 1]
    assert (tmp_path / "data" / "sums").stat().st_mode & 0o077 == 0


def test_where_it_can_be_kept_nowhere_that_is_said_once(
    source: Callable[[], Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    refuse_beside(tmp_path)
    (tmp_path / "data").write_text("no folder")
    with caplog.at_level(logging.WARNING):
        assert [hits(source()), hits(source())] == [0, 0]
    (line,) = caplog.messages
    assert "each start compiles it again" in line
    assert str(tmp_path / "data") in line


def test_code_that_others_can_write_is_not_run(
    source: Callable[[], Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    refuse_beside(tmp_path)
    hits(source())
    (tmp_path / "data" / "sums").chmod(0o777)
    assert hits(source()) == 0
    assert "may be written by others" in caplog.text


def test_half_a_file_is_compiled_again(source: Callable[[], Any], tmp_path: Path) -> None:
    assert hits(source()) == 0
    for file in (tmp_path / "installed" / "__pycache__").glob("*.nb*"):
        file.write_bytes(file.read_bytes()[:40])
    assert [hits(source()), hits(source())] == [0, 1]
