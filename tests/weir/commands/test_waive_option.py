"""`weir models promote --waive`: a waiver, and so of a key that may waive."""

from collections.abc import Callable
from pathlib import Path

import pytest
from front_door import write_settings

Run = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize("may", [["champion"], ["champion", "waiver"]])
def test_who_may_not_waive_does_not_by_promoting(run: Run, tmp_path: Path, may: list[str]) -> None:
    assert run("keys", "make", tmp_path / "eve.pem")[0] == 0
    config = write_settings(
        tmp_path / "weir.toml",
        kafka={"bootstrap_servers": "127.0.0.1:1"},
        signing={
            "trusted_keys": {"eve": {"file": str(tmp_path / "eve.pem.pub"), "may": may}},
            "key_file": str(tmp_path / "eve.pem"),
        },
    )
    code, _, told = run("models", "promote", "2", "--waive", "in a hurry", "-c", config)
    assert code != 0
    assert ("its `may` has no 'waiver'" in told) == ("waiver" not in may)
