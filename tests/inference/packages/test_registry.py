"""The registry over a real MLflow on SQLite."""

import errno
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from payments import quick_settings

from inference.packages.mlflow_connection import RegistryAwayError, RegistryError, import_quietly
from inference.packages.mlflow_run import RunDetails
from inference.packages.package import ModelPackage, PackageError
from inference.packages.registry import Registry, RegistrySettings
from inference.training.train import train


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """A registry's folder with an empty database: MLflow takes seconds to create one."""
    folder = tmp_path_factory.mktemp("fresh")
    assert Registry(RegistrySettings(), folder).versions() == []
    return folder


@pytest.fixture
def folder(fresh, tmp_path):
    return shutil.copytree(fresh, tmp_path / "data")


@pytest.fixture
def registry(folder):
    return Registry(RegistrySettings(), folder)


@pytest.fixture(scope="module")
def candidate(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("candidate")
    return train(data, quick_settings(seed=99), folder, lambda stage, share: None)


def test_round_trip_by_alias_and_version(registry, package, folder):
    model = registry.register(package, alias="champion")
    assert (model.version, model.package_id, model.aliases) == (1, package.id, ("champion",))
    assert model.metrics == package.card.metrics
    assert model.created > 1_700_000_000_000
    for name in ("champion", 1, "1"):
        fetched = registry.resolve(name)
        assert fetched.id == package.id
        assert fetched.folder == folder / "models" / package.short_id
    assert registry.get("champion") == model


def test_the_same_package_keeps_its_version(registry, package):
    assert registry.register(package).version == 1
    again = registry.register(package, alias="shadow-again")
    assert (again.version, again.aliases) == (1, ("shadow-again",))
    assert len(registry.versions()) == 1


def test_a_package_is_found_by_its_first_digits(registry, package, candidate):
    assert registry.find(package.id) is None
    registry.register(package)
    registry.register(candidate, alias="champion")
    for digits in (package.id, package.short_id):
        assert registry.find(digits) == registry.get(1)
    assert registry.find(candidate.short_id).aliases == ("champion",)
    assert registry.find("0" * 12) is None


def test_of_a_package_that_was_registered_twice_the_first_counts(registry, package):
    registry.register(package)
    registry._create(package, RunDetails(), {})
    assert [model.version for model in registry.versions()] == [2, 1]
    assert registry.find(package.id).version == 1


def test_an_alias_moves(registry, package, candidate):
    registry.register(package, alias="champion")
    assert registry.register(candidate, alias="shadow-a").version == 2
    registry.set_alias("champion", 2)
    assert registry.aliases() == {"champion": 2, "shadow-a": 2}
    assert [(model.version, model.aliases) for model in registry.versions()] == [
        (2, ("champion", "shadow-a")),
        (1, ()),
    ]
    assert registry.resolve("champion").id == candidate.id


def test_no_champion_names_the_command_that_makes_one(registry, package):
    with pytest.raises(RegistryError, match="no champion yet: train one with `weir train`"):
        registry.resolve("champion")
    registry.register(package, alias="shadow-a")
    with pytest.raises(RegistryError, match="no champion yet"):
        registry.resolve("champion")


def test_unknown_names_are_explained(registry, package):
    registry.register(package, alias="champion")
    with pytest.raises(RegistryError, match="has no alias 'canary'; it has: champion"):
        registry.resolve("canary")
    with pytest.raises(RegistryError, match="has no version 7: `weir models list`"):
        registry.resolve(7)
    with pytest.raises(RegistryError, match=r"registry sqlite:.*version=9"):
        registry.set_alias("champion", 9)


def test_a_fetched_package_needs_no_registry(registry, package, candidate, folder):
    """A rollback works while the registry is away."""
    registry.register(package, alias="champion")
    registry.resolve("champion")
    away = Registry(RegistrySettings(tracking_uri=f"sqlite:///{folder}/away/registry.db"), folder)
    (folder / "away").write_text("a file where a folder should be")
    assert away.resolve(1, package.id).id == package.id
    with pytest.raises(RegistryError):
        away.resolve(2, candidate.id)
    with pytest.raises(RegistryError):
        away.resolve(1)


def test_a_registry_that_moved_hands_out_its_models(registry, package, folder, tmp_path):
    """Such as a copy on another machine, years later; what was fetched stays behind."""
    registry.register(package, alias="champion")
    moved = folder.rename(tmp_path / "elsewhere")
    shutil.rmtree(moved / "models", ignore_errors=True)
    fetched = Registry(RegistrySettings(), moved).resolve("champion")
    assert (fetched.id, fetched.folder.parent) == (package.id, moved / "models")
    assert not folder.exists()


def test_a_damaged_cache_is_fetched_again(registry, package):
    registry.register(package, alias="champion")
    cached = registry.resolve("champion").folder
    (cached / "model.onnx").write_bytes(b"damaged")
    assert registry.resolve("champion").model == package.model
    assert ModelPackage.load(cached).id == package.id
    assert [path.name for path in cached.parent.iterdir()] == [package.short_id]


def test_a_package_changed_in_the_registry_is_refused(registry, package, folder):
    registry.register(package, alias="champion")
    (stored,) = (folder / "artifacts").rglob("thresholds.json")
    stored.write_text(stored.read_text().replace('"review": ', '"review": 0.0, "was": '))
    with pytest.raises(PackageError, match=r"thresholds\.json was changed after"):
        registry.resolve("champion")
    assert list((folder / "models").iterdir()) == []


def test_another_process_sees_it(registry, package, folder):
    """And MLflow says nothing on the terminal."""
    registry.register(package, alias="champion")
    code = (
        "import sys; from pathlib import Path; "
        "from inference.packages.registry import Registry, RegistrySettings; "
        "registry = Registry(RegistrySettings(), Path(sys.argv[1])); "
        "assert 'mlflow' not in sys.modules; "
        "print(registry.resolve('champion').id)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == package.id
    assert done.stderr == ""


def test_a_file_that_is_no_database_is_named(tmp_path):
    (tmp_path / "registry.db").write_text("no database" * 1000)
    with pytest.raises(RegistryAwayError, match=r"registry\.db: .*not a database"):
        Registry(RegistrySettings(), tmp_path).versions()


def test_a_server_that_does_not_answer_is_away(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{unheard.getsockname()[1]}"
        with pytest.raises(RegistryAwayError, match=uri):
            Registry(RegistrySettings(tracking_uri=uri), tmp_path).find("0" * 12)


def test_a_server_that_is_away_is_not_waited_for_long(tmp_path, monkeypatch):
    """A scorer carries out no other command meanwhile, and seems dead after 150 s."""
    names = ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_TIMEOUT")
    for name in names:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    import_quietly()
    retries, seconds = (int(os.environ[name]) for name in names)
    pauses = sum(2**i for i in range(1, retries + 1))
    assert (retries + 1) * seconds + pauses < 150
    monkeypatch.setenv(names[0], "9")
    import_quietly()
    assert os.environ[names[0]] == "9", "whoever says otherwise knows better"


def test_what_is_gone_is_not_away(registry, package, folder):
    """Waiting for it would take for ever."""
    registry.register(package)
    shutil.rmtree(folder / "artifacts")
    with pytest.raises(RegistryError, match=r"version 1 .* has no artifacts") as gone:
        registry.resolve(1)
    with pytest.raises(RegistryError, match="no version 7") as unknown:
        registry.get(7)
    with pytest.raises(RegistryError, match="version=7") as refused:
        registry.set_alias("champion", 7)
    assert not any(isinstance(each.value, RegistryAwayError) for each in (gone, unknown, refused))


@pytest.mark.parametrize("keeps", [{}, {"artifact_location": "elsewhere"}])
def test_a_full_disk_is_not_a_registry_that_is_away(folder, package, monkeypatch, keeps):
    """Whoever waited for it would wait for ever. Elsewhere, MLflow downloads."""
    if keeps:
        keeps = {"artifact_location": (folder / "elsewhere").as_uri()}
    registry = Registry(RegistrySettings(**keeps), folder)
    registry.register(package)

    def full(source, target, **_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "copyfile", full)
        with pytest.raises(RegistryError, match=r"No space left.*this machine") as refused:
            registry.resolve(1)
    assert not isinstance(refused.value, RegistryAwayError)
    assert list((folder / "models").iterdir()) == []
    assert registry.resolve(1).id == package.id


def test_a_version_of_another_kind_is_left_out(registry, package):
    registry.register(package)
    client = registry._client
    run = client.create_run(client.get_experiment_by_name("weir-fraud").experiment_id)
    client.create_model_version("fraud", "/elsewhere", run.info.run_id)
    assert [model.version for model in registry.versions()] == [1]
    with pytest.raises(RegistryError, match="no version 2"):
        registry.get(2)
