"""One secured broker for all tests here."""

from collections.abc import Iterator

import pytest
from secured import Secured


@pytest.fixture(scope="session")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    with Secured(tmp_path_factory.mktemp("secured")).running() as broker:
        yield broker
