"""The one package that the tests of this room share."""

import pytest
from payments import payments, quick_settings

from inference.package import ModelPackage
from inference.training import train
from inference.training_set import TrainingSet


@pytest.fixture(scope="session")
def data() -> TrainingSet:
    return payments(6_000)


@pytest.fixture(scope="session")
def package(data: TrainingSet, tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    folder = tmp_path_factory.mktemp("explained")
    settings = quick_settings(background_rows=200)
    return train(data, settings, folder, lambda stage, share: None)
