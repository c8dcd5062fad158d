"""Whose packages may serve, where the settings name keys."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from payments import payments, quick_settings

from inference.packages.package import ModelPackage
from inference.packages.registry import Registry, RegistrySettings
from inference.packages.signature import SIGNATURE, PackageKeys, UntrustedPackageError
from inference.training.train import train
from streams.base.signing import TrustedKey, open_signer


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    folder = tmp_path_factory.mktemp("trained")
    return train(payments(4_000), quick_settings(seed=1), folder, lambda *_: None)


@pytest.fixture
def package(trained: ModelPackage, tmp_path: Path) -> ModelPackage:
    return ModelPackage.load(Path(shutil.copytree(trained.folder, tmp_path / "package")))


def keys(folder: Path, signs: str | None, *may: str) -> PackageKeys:
    """Of somebody who trusts Ada, for `may` or else for packages."""
    ada = open_signer(folder / "ada")
    trusted = {"ada": TrustedKey(ada.public, frozenset(may or ("package",)))}
    return PackageKeys(None if signs is None else open_signer(folder / signs), trusted)


def registry(folder: Path, owner: PackageKeys, data: str = "data") -> Registry:
    uri = f"sqlite:///{folder / 'registry.db'}"
    settings = RegistrySettings(tracking_uri=uri, artifact_location=(folder / "kept").as_uri())
    return Registry(settings, folder / data, owner)


def test_a_package_travels_with_its_signature(package: ModelPackage, tmp_path: Path) -> None:
    registry(tmp_path, keys(tmp_path, "ada")).register(package)
    fetched = registry(tmp_path, keys(tmp_path, None), "elsewhere").resolve(1)
    assert fetched.id == package.id, "signed or not, a package has one id"


@pytest.mark.parametrize("signs", [None, "eve"])
def test_one_that_nobody_trusted_signed_does_not_serve_until_somebody_does(
    signs: str | None, package: ModelPackage, tmp_path: Path
) -> None:
    registry(tmp_path, PackageKeys(open_signer(tmp_path / "eve") if signs else None)).register(
        package
    )
    theirs = registry(tmp_path, keys(tmp_path, None), "elsewhere")
    for _ in range(2):
        with pytest.raises(UntrustedPackageError, match="weir models sign"):
            theirs.resolve(1, package.id)
    ours = registry(tmp_path, keys(tmp_path, "ada"))
    ours.sign(ours.get(1))
    assert theirs.resolve(1, package.id).id == package.id


def _of_another_package(package: ModelPackage) -> None:
    said = json.loads((package.folder / SIGNATURE).read_text())
    said["signature"] = said["signature"][:-2] + ("00" if said["signature"][-2:] != "00" else "01")
    (package.folder / SIGNATURE).write_text(json.dumps(said))


def _torn(package: ModelPackage) -> None:
    (package.folder / SIGNATURE).write_text('{"key": "')


def _gone(package: ModelPackage) -> None:
    (package.folder / SIGNATURE).unlink()


@pytest.mark.parametrize(
    ("change", "says"),
    [(_of_another_package, "not of this package"), (_torn, "no signature"), (_gone, "not signed")],
)
def test_a_signature_that_was_changed_is_worth_nothing(
    change: Callable[[ModelPackage], None], says: str, package: ModelPackage, tmp_path: Path
) -> None:
    owner = keys(tmp_path, "ada")
    owner.sign(package)
    assert owner.admit(package) is package
    change(package)
    with pytest.raises(UntrustedPackageError, match=says):
        owner.admit(package)


def test_a_key_for_commands_vouches_for_no_package(package: ModelPackage, tmp_path: Path) -> None:
    owner = keys(tmp_path, "ada", "policy")
    owner.sign(package)
    with pytest.raises(UntrustedPackageError, match="ada, who may only sign policy"):
        owner.admit(package)
