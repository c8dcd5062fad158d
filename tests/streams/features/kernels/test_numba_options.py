"""Compiled code is kept on disk, until any file of the kernels changes."""

from pathlib import Path

import pytest

from streams.base.compiled_code import kept_njit
from streams.features.kernels import numba_options as compiled


def add_one(number):  # type: ignore[no-untyped-def]
    return number + 1


def test_every_file_of_a_folder_counts(tmp_path: Path) -> None:
    def version() -> str:
        return compiled.version_of(tmp_path)

    seen = [version()]
    for name, text in (("a.py", "x = 1"), ("a.py", "x = 2"), ("b.py", "x = 2"), ("c.py", "")):
        (tmp_path / name).write_text(text)
        seen.append(version())
    (tmp_path / "notes.txt").write_text("no code")
    assert version() == seen[-1]
    assert len(set(seen)) == len(seen)


def test_what_is_compiled_is_found_again_by_the_same_version_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("numba.core.config.CACHE_DIR", str(tmp_path))
    hits = []
    for version in ("one", "one", "two", "one", "two"):
        dispatcher = kept_njit(version, nogil=True)(add_one)
        assert dispatcher(1) == 2
        hits.append(sum(dispatcher.stats.cache_hits.values()))
    assert hits == [0, 1, 0, 1, 1]
