"""A command that is wrong as a whole is refused in words, as one with a wrong option is."""

import pytest

from inference.control.canary import ArmShare, CanaryCommand
from inference.control.commands import ModelVersion
from weir.commands.models.rooms import said
from weir.config.errors import SettingsError


def test_shares_that_do_not_fit_together_name_no_option() -> None:
    model = ModelVersion(version=2, package="b" * 64)
    arms = tuple(ArmShare(name=name, model=model, share=0.9) for name in ("canary", "b"))
    with pytest.raises(SettingsError, match=r"^Value error, the shares of the arms have a sum"):
        said(
            CanaryCommand,
            experiment="e",
            champion="a" * 64,
            arms=arms,
            begun=1,
            stepped=1,
            by="ada",
            at=1,
        )
    with pytest.raises(SettingsError, match=r"^--share: "):
        said(ArmShare, name="canary", model=model, share=1.5)
