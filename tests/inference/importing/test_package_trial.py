"""Packages are tried before they serve: forged ones are refused, and never loaded here."""

import os
from pathlib import Path
from time import monotonic

import pytest
from forged_packages import custom_graph, endless_graph, forged, hungry_graph, slow_graph
from payments import payments, quick_settings

from inference.backends.tensorrt.errors import BuildCancelledError
from inference.importing.sandbox import package_trial
from inference.importing.sandbox.package_trial import PackageTrials
from inference.packages.mlflow_connection import RegistryAwayError
from inference.packages.package import ModelPackage, PackageError
from inference.training.train import train
from streams.base.apart.starter import Bounds, NotStartedError


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    folder = tmp_path_factory.mktemp("package")
    return train(payments(4_000), quick_settings(seed=1), folder, lambda *_: None)


@pytest.fixture
def short(monkeypatch) -> None:
    """Limits that one need not wait for."""
    monkeypatch.setattr(package_trial, "_BOUNDS", Bounds(4, 60, 3_000, 64))


def test_a_trained_package_is_good_and_tried_once(package, monkeypatch) -> None:
    trials = PackageTrials()
    trials(package)
    monkeypatch.setattr(package_trial, "_try", None)
    trials(package)


@pytest.mark.parametrize(
    ("graph", "said"),
    [
        (endless_graph, "the limit is 10,000"),
        (slow_graph, "took more than|SIG"),
        (hungry_graph, "memory|SIG|alloc"),
        (custom_graph, "custom operator"),
        (lambda _: b"no graph", "no ONNX file"),
        (lambda _: b"", "is empty"),
    ],
)
def test_forged_packages_are_refused_with_the_reason(package, tmp_path, graph, said, short) -> None:
    bad = forged(package, tmp_path, graph(package))
    with pytest.raises(PackageError, match=said) as refused:
        PackageTrials()(bad)
    assert bad.short_id in str(refused.value)


def test_the_graph_for_gpus_is_tried_too(package, tmp_path) -> None:
    bad = forged(package, tmp_path, package.model, endless_graph(package).SerializeToString())
    with pytest.raises(PackageError, match="the limit is 10,000"):
        PackageTrials()(bad)


def test_a_trial_ends_when_nobody_wants_it(package, tmp_path) -> None:
    bad = forged(package, tmp_path, slow_graph(package))
    start = monotonic()
    with pytest.raises(BuildCancelledError):
        PackageTrials()(bad, lambda: monotonic() - start > 0.5)
    assert monotonic() - start < 30


def test_good_ones_are_remembered_for_the_next_start(package, tmp_path, monkeypatch) -> None:
    folder = tmp_path / "tried"
    PackageTrials(folder)(package)
    monkeypatch.setattr(package_trial, "_try", None)
    PackageTrials(folder)(package)


@pytest.mark.parametrize("spoil", ["folder", "file", "text", "link", "version"])
def test_notes_that_others_may_have_written_are_not_believed(
    package: ModelPackage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: str
) -> None:
    folder = tmp_path / "tried"
    PackageTrials(folder)(package)
    note = folder / package.id
    match spoil:
        case "folder":
            folder.chmod(0o777)
        case "file":
            note.chmod(0o666)
        case "text":
            note.write_text("good")
        case "link":
            note.rename(tmp_path / "note")
            note.symlink_to(tmp_path / "note")
        case "version":
            monkeypatch.setattr(package_trial, "version", lambda _: "0")
    asked = []
    monkeypatch.setattr(package_trial, "_try", lambda tried, _: asked.append(tried.id))
    PackageTrials(folder)(package)
    assert asked == [package.id]


def test_a_folder_that_takes_no_notes_is_no_obstacle(package, tmp_path) -> None:
    (tmp_path / "file").touch()
    PackageTrials(tmp_path / "file" / "tried")(package)


def test_a_machine_that_starts_no_process_is_worth_waiting_for(package, monkeypatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise NotStartedError(12, os.strerror(12))

    monkeypatch.setattr(package_trial.Apart, "run", fails)
    with pytest.raises(RegistryAwayError, match="can't be tried"):
        PackageTrials()(package)
