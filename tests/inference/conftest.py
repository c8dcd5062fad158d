"""The one package that the tests of this room share."""

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
    folder = tmp_path_factory.mktemp("packages")
    return train(data, quick_settings(), folder, lambda stage, share: None)


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    """A model of the features of `scorer_desk.PLAN`."""
    data = payments(4_000)
    wanted = TrainingSet(
        matrix=data.matrix[:, [0, 1, 4]],
        labels=data.labels,
        times=data.times,
        feature_names=PLAN.names,
        feature_definitions=PLAN.schema(),
        feature_schema_hash=PLAN.schema_hash,
        data_sha256=data.data_sha256,
    )
    return train(wanted, quick_settings(), tmp_path_factory.mktemp("model"), lambda *_: None)
