"""`weir shadow add` and `remove`: the later word counts, whatever the clocks say."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from weir.commands.services import shadow
from weir.config.settings import load_settings

Run = Callable[..., tuple[int, str, str]]
NOW = 1_800_000_000_000
HOUR = 3_600_000


def test_what_is_said_later_is_dated_later_though_the_clock_goes_back(
    config: Callable[..., Path], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = config()

    def at(time: int, *arguments: str) -> int:
        """When what is said now, at a clock that shows this, says that it was said."""
        monkeypatch.setattr(shadow, "now_ms", lambda: time)
        code, _, err = run("shadow", *arguments, "--by", "ada", "-c", path)
        assert code == 0, err
        return shadow._book_of(load_settings(path)).stands_since("same")

    assert run("topics", "-c", path)[0] == 0
    add, remove = ("add", "champion", "--name", "same"), ("remove", "same")
    assert at(NOW, *add) == NOW
    assert at(NOW - HOUR, *add) == NOW + 1
    assert at(NOW - HOUR, *remove) == NOW + 2
    assert at(NOW - HOUR, *add) == NOW + 3
    assert at(NOW + HOUR, *add) == NOW + HOUR
    shown = json.loads(run("shadow", "status", "--json", "-c", path)[1])
    assert shown["same"]["at"] == NOW + HOUR
