"""A runner that can't work here says what it needs."""

import sys
from pathlib import Path
from typing import Any, cast

import pytest
from front_door import write_settings

from streams.base.errors import WRONG_USE
from weir.config.errors import SettingsError
from weir.config.settings import load_settings
from weir.retraining.book import RetrainingBook
from weir.retraining.runners import runner_of

REMOTE = {
    "archive": {"url": "s3://bucket/weir"},
    "registry": {"tracking_uri": "http://mlflow.example:5000"},
    "retraining": {"runner": "kubernetes", "kubernetes": {"image": "weir:1", "secret": "weir"}},
}
NO_BOOK = cast(RetrainingBook, None)
"""Only the outbox writes in it."""


def refusal(folder: Path, **sections: Any) -> str:
    settings = load_settings(write_settings(folder / "weir.toml", **(REMOTE | sections)))
    with pytest.raises(SettingsError) as refused:
        runner_of(settings, NO_BOOK, None)
    assert refused.value.exit_code == WRONG_USE
    return str(refused.value)


@pytest.mark.parametrize("url", ["", "/mnt/archive", "file:///mnt/archive"])
def test_a_pod_sees_no_archive_of_this_machine(tmp_path: Path, url: str) -> None:
    assert "needs archive.url to name an object store" in refusal(tmp_path, archive={"url": url})


@pytest.mark.parametrize("registry", [{}, {"tracking_uri": "sqlite:///registry.db"}])
def test_a_pod_sees_no_registry_of_this_machine(tmp_path: Path, registry: dict[str, str]) -> None:
    assert "needs registry.tracking_uri to name" in refusal(tmp_path, registry=registry)


def test_its_client_is_an_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "monitoring.retraining.jobs.kubernetes", raising=False)
    monkeypatch.setitem(sys.modules, "kubernetes", None)
    assert "needs kubernetes: pip install 'weir[kubernetes]'" in refusal(tmp_path)
