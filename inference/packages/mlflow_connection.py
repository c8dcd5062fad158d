"""The connection to MLflow: made at first use, and its errors told in words of ours."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from inference.errors import InferenceError
from inference.packages.machine_faults import machine_fault
from streams.base.masking import remember, without_secrets

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

_FOR_GOOD = ("RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS", "INVALID_PARAMETER_VALUE")
"""MLflow's codes of what is so whenever it is asked. Not ``ENDPOINT_NOT_FOUND``, which a proxy
before a server that is away may answer, nor refused passwords, which somebody will put right."""
_SECRETS = (
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AZURE_STORAGE_ACCESS_KEY",
    "AZURE_STORAGE_CONNECTION_STRING",
)
"""What MLflow and its stores of files take from the environment."""


class RegistryError(InferenceError):
    """The registry cannot be reached, or has no such model."""


class RegistryAwayError(RegistryError):
    """The registry cannot be asked now: another time it may answer."""


class MlflowConnection:
    """A client of an MLflow server or database.

    Args:
        uri: where it is.
        cache: the folder where models are kept that were fetched; for messages.
    """

    def __init__(self, uri: str, cache: Path) -> None:
        self.uri = uri
        self._shown = without_secrets(uri)
        self._cache = cache
        self._connected: MlflowClient | None = None

    @property
    def client(self) -> "MlflowClient":
        """Connect at the first use: importing MLflow takes seconds that few commands need."""
        if self._connected is None:
            if self.uri.startswith("sqlite:///"):
                path = Path(self.uri.removeprefix("sqlite:///"))
                path.parent.mkdir(parents=True, exist_ok=True)
            self._connected = _connect(self.uri)
        return self._connected

    @contextmanager
    def errors(self, downloading: bool = False) -> Iterator[None]:
        """Turn the errors of MLflow and its database into one that names the registry.

        Raises:
            RegistryError: the registry refuses for good, or this machine hinders it.
            RegistryAwayError: another time it may answer.
        """
        import_quietly()
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            yield
        except (MlflowException, SQLAlchemyError, OSError) as error:
            if (hindrance := machine_fault(error, downloading)) is not None:
                raise self.hindered(hindrance) from error
            reason = str(error).strip().splitlines()[0]
            for_good = isinstance(error, MlflowException) and error.error_code in _FOR_GOOD
            kind = RegistryError if for_good else RegistryAwayError
            raise kind(f"registry {self._shown}: {without_secrets(reason)}") from error

    def hindered(self, reason: str) -> RegistryError:
        """The error that names what is wrong with this machine."""
        return RegistryError(
            f"registry {self._shown}: {without_secrets(reason)}. That is of this machine, which "
            f"keeps models in {self._cache}, and waiting does not fix it"
        )


def import_quietly() -> None:
    """Import MLflow without its telemetry, and without its log lines on our terminal."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    # By itself it tries for four minutes: so long nobody hears of a server that is away, and no
    # scorer carries out another command.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
    remember(*(os.environ[name] for name in _SECRETS if name in os.environ))
    import mlflow.tracking  # noqa: F401

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _connect(uri: str) -> "MlflowClient":
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=uri, registry_uri=uri)
