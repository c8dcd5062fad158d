"""Who gives a command is named, or asked for."""

import pytest

from weir.cli.login import login_or
from weir.config.errors import SettingsError


def test_who_was_named_counts_and_else_the_login(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "ann")
    assert login_or("bob") == "bob"
    assert login_or(None) == login_or("") == "ann"


@pytest.mark.parametrize("error", [KeyError("getpwuid(): uid not found"), OSError("no username")])
def test_a_login_without_a_name_asks_for_one(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def nameless() -> str:
        raise error

    monkeypatch.setattr("getpass.getuser", nameless)
    with pytest.raises(SettingsError, match="--by"):
        login_or(None)
