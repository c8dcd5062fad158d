"""What the monitor does with models whose packages it does not get."""

import logging
from threading import Event
from types import SimpleNamespace
from typing import Any, cast

import pytest

from inference.packages.mlflow_connection import RegistryError
from inference.packages.package import PackageError
from inference.packages.registry import Registry
from weir.services.build_monitor import RegisteredBins


class Refusing:
    """A registry that has the model, and gives an error in its place."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.asked = 0

    def find(self, package_id: str) -> Any:
        return SimpleNamespace(package_id=package_id)

    def fetch(self, model: Any) -> Any:
        self.asked += 1
        raise self.error


def test_a_damaged_package_is_said_once_and_the_monitor_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    registry = Refusing(PackageError("model.json does not have the hash that its card names"))
    bins = RegisteredBins(cast(Registry, registry), Event())

    with caplog.at_level(logging.ERROR):
        assert [bins("c6faeac493c8"), bins("c6faeac493c8")] == [None, None]

    assert registry.asked == 1
    (line,) = caplog.messages
    assert line.startswith("the package of model c6faeac493c8 is damaged: model.json does not have")


def test_a_registry_that_refuses_us_ends_the_monitor() -> None:
    bins = RegisteredBins(cast(Registry, Refusing(RegistryError("wrong password"))), Event())

    with pytest.raises(RegistryError, match="wrong password"):
        bins("c6faeac493c8")
