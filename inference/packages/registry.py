"""The model registry: versions and aliases of packages, kept in MLflow."""

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from inference.packages.mlflow_connection import MlflowConnection, RegistryError
from inference.packages.mlflow_run import RunDetails, record_run
from inference.packages.package import ModelPackage, PackageError, adopt_package
from inference.packages.signature import SIGNATURE, PackageKeys
from streams.base.secret_fields import LoginUrl
from streams.base.section import Name, Section

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

CHAMPION_ALIAS = "champion"
_PACKAGE_TAG = "weir.package_id"
_JOB_TAG = "weir.job."
_ARTIFACT = "package"

Admit = Callable[[ModelPackage], ModelPackage]


class RegistrySettings(Section):
    """The ``[registry]`` section."""

    tracking_uri: LoginUrl | None = Field(
        default=None, description="an MLflow server or database; default: SQLite in the data folder"
    )
    artifact_location: LoginUrl | None = Field(
        default=None, description="a URI; default: in the data folder, or as the server says"
    )
    model: Name = Field(default="fraud", description="its name in the registry")


@dataclass(frozen=True)
class RegisteredModel:
    """One version in the registry.

    Attributes:
        version: counts from 1.
        package_id: id of its package.
        aliases: names that point to it, sorted.
        metrics: as on its card.
        created: when it was registered, UTC milliseconds.
    """

    version: int
    package_id: str
    aliases: tuple[str, ...]
    metrics: dict[str, float]
    created: int


class Registry:
    """Packages by version and alias.

    Args:
        settings: where the registry is.
        data_folder: holds the default database and artifacts, and ``models/``, the packages that
            were fetched, by their short id.
        keys: sign what is registered, and say which packages may serve; by default all may.
    """

    def __init__(
        self, settings: RegistrySettings, data_folder: Path, keys: PackageKeys | None = None
    ) -> None:
        data_folder = data_folder.absolute()
        self._model = settings.model
        self._keys = keys or PackageKeys()
        uri = settings.tracking_uri or f"sqlite:///{data_folder / 'registry.db'}"
        self._artifacts = settings.artifact_location
        self._own: Path | None = None
        if self._artifacts is None and settings.tracking_uri is None:
            self._own = data_folder / "artifacts"
            self._artifacts = self._own.as_uri()
        self._cache = data_folder / "models"
        self._mlflow = MlflowConnection(uri, self._cache)

    def register(
        self,
        package: ModelPackage,
        alias: str | None = None,
        details: RunDetails | None = None,
        *,
        job: str | None = None,
    ) -> RegisteredModel:
        """Add a package as the next version, and point `alias` at it.

        A package that is registered already keeps its version.

        Args:
            details: what its run in MLflow shows besides.
            job: key of the retraining job that has led to it, written with the version: a job that
                is killed has a model or none.

        Raises:
            RegistryError: the registry refuses, or cannot be reached.
        """
        self._keys.sign(package)
        found = self.find(package.id)
        tags = {} if job is None else {_JOB_TAG + job: "done"}
        with self._mlflow.errors():
            if found is None:
                version = self._create(package, details or RunDetails(), tags)
            else:
                version = found.version
                for tag, value in tags.items():
                    self._client.set_model_version_tag(self._model, str(version), tag, value)
        if alias is not None:
            self.set_alias(alias, version)
        return self.get(version)

    def sign(self, model: RegisteredModel) -> None:
        """Sign a package that is registered already, with our key.

        Raises:
            RegistryError, RegistryAwayError, PackageError: as `fetch`; nothing is signed then.
        """
        package = self._fetched(model, lambda package: package)
        try:
            self._keys.sign(package)
        except OSError as error:
            raise self._mlflow.hindered(str(error)) from error
        with self._mlflow.errors():
            run_id = self._client.get_model_version(self._model, str(model.version)).run_id
            self._client.log_artifact(run_id, str(package.folder / SIGNATURE), _ARTIFACT)

    def versions(self) -> list[RegisteredModel]:
        """Return all versions, the latest first."""
        with self._mlflow.errors():
            aliases = self._aliases()
            found = [self._describe(entry, aliases) for entry in self._entries()]
        return sorted(found, key=lambda model: -model.version)

    def get(self, name: str | int) -> RegisteredModel:
        """Return one version, by its number or alias.

        Raises:
            RegistryError: there is none of that name.
        """
        with self._mlflow.errors():
            aliases = self._aliases()
            if not str(name).isdecimal() and name not in aliases:
                raise RegistryError(self._no_alias(str(name), aliases))
            version = int(name) if str(name).isdecimal() else aliases[str(name)]
            for entry in self._entries():
                if int(entry.version) == version:
                    return self._describe(entry, aliases)
        raise RegistryError(
            f"model {self._model!r} has no version {version}: `weir models list` shows all"
        )

    def find(self, package_id: str) -> RegisteredModel | None:
        """Return the version of a package, by its id or the first digits of it; None for none.

        Where the same package was registered twice at once, the first one counts, so that its
        number stays.

        Raises:
            RegistryAwayError: the registry cannot be reached.
        """
        with self._mlflow.errors():
            found = [
                entry
                for entry in self._entries()
                if entry.tags[_PACKAGE_TAG].startswith(package_id)
            ]
            if not found:
                return None
            return self._describe(min(found, key=lambda each: int(each.version)), self._aliases())

    def of_job(self, key: str) -> RegisteredModel | None:
        """The version that a retraining job has led to; None while there is none.

        Raises:
            RegistryAwayError: the registry cannot be reached.
        """
        with self._mlflow.errors():
            found = [entry for entry in self._entries() if _JOB_TAG + key in entry.tags]
            # Two runs of it at the same time may both have come to an end: the first one counts.
            first = min(found, key=lambda entry: int(entry.version), default=None)
            return None if first is None else self._describe(first, self._aliases())

    def resolve(self, name: str | int, package_id: str | None = None) -> ModelPackage:
        """Return the package of a version or alias, fetched into the cache and checked.

        Args:
            package_id: of the package that is meant, where the caller knows it: if that one is in
                the cache, the registry is not asked.

        Raises:
            RegistryError: there is none of that name, its artifacts are gone, or this machine
                can't keep it: its disk is full, say.
            RegistryAwayError: the registry, or what keeps the artifacts, cannot be reached.
            PackageError: the registry's copy was changed after it was registered.
            UntrustedPackageError: nobody signed it who may.
        """
        if package_id is not None:
            cached = self._cached(package_id, self._keys.admit)
            if cached is not None:
                return cached
        return self.fetch(self.get(name))

    def fetch(self, model: RegisteredModel) -> ModelPackage:
        """Return the package of a version that `get` or `find` has told of; see `resolve`."""
        return self._fetched(model, self._keys.admit)

    def _fetched(self, model: RegisteredModel, admit: Admit) -> ModelPackage:
        if (cached := self._cached(model.package_id, admit)) is not None:
            return cached
        try:
            self._cache.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".fetching-", dir=self._cache) as temporary:
                with self._mlflow.errors(downloading=True):
                    folder = self._download(model.version, Path(temporary))
                return admit(adopt_package(folder, self._cache, model.package_id))
        except OSError as error:
            raise self._mlflow.hindered(str(error)) from error

    def _download(self, version: int, into: Path) -> Path:
        run_id = self._client.get_model_version(self._model, str(version)).run_id
        if self._own is not None:
            # Not as MLflow remembers it: the data folder may have moved to another place since.
            kept = self._own / run_id / "artifacts" / _ARTIFACT
            if kept.is_dir():
                try:
                    return Path(shutil.copytree(kept, into / _ARTIFACT))
                except shutil.Error as error:  # its reasons are words; both ends are on our disk
                    raise self._mlflow.hindered(error.args[0][0][2]) from error
        # What is fetched from nowhere fails as if the store were away.
        if not self._client.list_artifacts(run_id, _ARTIFACT):
            raise RegistryError(
                f"version {version} of model {self._model!r} has no artifacts: were they deleted?"
            )
        # MLflow's client takes every failure of a download for an artifact that is not there.
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        uri = self._client.get_run(run_id).info.artifact_uri
        store = get_artifact_repository(uri, self._mlflow.uri, self._mlflow.uri)
        return Path(store.download_artifacts(_ARTIFACT, str(into)))

    def _cached(self, package_id: str, admit: Admit) -> ModelPackage | None:
        """Return a package that was fetched before.

        One that is damaged, or that was not signed then, is thrown away.
        """
        folder = self._cache / package_id[:12]
        try:
            return admit(ModelPackage.load(folder, package_id))
        except PackageError:
            shutil.rmtree(folder, ignore_errors=True)  # the registry has it
            return None

    def aliases(self) -> dict[str, int]:
        """Return the version that each alias points to."""
        with self._mlflow.errors():
            return self._aliases()

    def set_alias(self, alias: str, version: int) -> None:
        """Point an alias at a version, and away from the one that it pointed at before.

        Raises:
            RegistryError: there is no such version, or the alias is no proper name.
        """
        with self._mlflow.errors():
            self._client.set_registered_model_alias(self._model, alias, str(version))

    def _create(self, package: ModelPackage, details: RunDetails, tags: dict[str, str]) -> int:
        client = self._client
        experiment = client.get_experiment_by_name(f"weir-{self._model}")
        experiment_id = (
            experiment.experiment_id
            if experiment is not None
            else client.create_experiment(f"weir-{self._model}", self._artifacts)
        )
        run_id = record_run(client, experiment_id, package, _ARTIFACT, details)
        if not client.search_registered_models(f"name = '{self._model}'"):
            client.create_registered_model(self._model)
        source, tags = f"runs:/{run_id}/{_ARTIFACT}", tags | {_PACKAGE_TAG: package.id}
        entry = client.create_model_version(self._model, source, run_id, tags=tags)
        return int(entry.version)

    def _entries(self) -> list[Any]:
        """Return MLflow's versions of the model, without those that Weir did not register."""
        entries = self._client.search_model_versions(f"name = '{self._model}'")
        return [entry for entry in entries if _PACKAGE_TAG in entry.tags]

    def _aliases(self) -> dict[str, int]:
        models = self._client.search_registered_models(f"name = '{self._model}'")
        return {alias: int(version) for model in models for alias, version in model.aliases.items()}

    def _describe(self, entry: Any, aliases: dict[str, int]) -> RegisteredModel:
        version = int(entry.version)
        return RegisteredModel(
            version=version,
            package_id=entry.tags[_PACKAGE_TAG],
            aliases=tuple(sorted(alias for alias, at in aliases.items() if at == version)),
            metrics=dict(self._client.get_run(entry.run_id).data.metrics),
            created=int(entry.creation_timestamp),
        )

    def _no_alias(self, alias: str, aliases: dict[str, int]) -> str:
        if alias == CHAMPION_ALIAS and self._entries():
            return (
                f"model {self._model!r} has no champion yet: `weir models list` shows the "
                "candidates, and `weir models promote VERSION` makes one of them champion"
            )
        if alias == CHAMPION_ALIAS:
            return f"model {self._model!r} has no champion yet: train one with `weir train`"
        known = ", ".join(sorted(aliases)) or "none"
        return f"model {self._model!r} has no alias {alias!r}; it has: {known}"

    @property
    def _client(self) -> "MlflowClient":
        return self._mlflow.client
