"""The one package that the tests of this room share."""

from dataclasses import replace

import pytest
from payments import payments, quick_settings
from scorer_desk import PLAN

from inference.packages.package import ModelPackage
from inference.training.train import train
from inference.training.training_set import TrainingSet


@pytest.fixture(scope="session")
def data() -> TrainingSet:
    return payments(6_000)


@pytest.fixture(scope="session")
def package(data: TrainingSet, tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    folder = tmp_path_factory.mktemp("explained")
    settings = quick_settings(background_rows=200)
    return train(data, settings, folder, lambda stage, share: None)


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    """A model of the features of `scorer_desk.PLAN`."""
    data = payments(4_000)
    wanted = replace(
        data,
        matrix=data.matrix[:, [0, 1, 4]],
        feature_names=PLAN.names,
        feature_definitions=PLAN.schema(),
        feature_schema_hash=PLAN.schema_hash,
    )
    return train(wanted, quick_settings(), tmp_path_factory.mktemp("model"), lambda *_: None)
