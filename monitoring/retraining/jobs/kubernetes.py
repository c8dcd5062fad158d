"""Runs jobs as Jobs of Kubernetes. Needs its client: nobody imports this module without."""

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

import msgspec
from kubernetes import client
from kubernetes.client.exceptions import ApiException
from kubernetes.config import load_incluster_config, load_kube_config
from kubernetes.config.config_exception import ConfigException
from urllib3 import Retry
from urllib3.exceptions import HTTPError
from yaml import YAMLError

from monitoring.retraining.jobs.job import JobSpec, JobState, RunnerError
from monitoring.retraining.jobs.kubernetes_manifest import JOB_LABEL, job_manifest, job_name
from monitoring.retraining.jobs.kubernetes_settings import KubernetesSettings
from streams.base.errors import WRONG_USE, WeirError

_TIMEOUT_S = 15.0
_LONGEST_REASON = 500
_ENDED = ("Complete", "Failed")


class KubernetesLoginError(WeirError):
    """Nothing here says where the cluster is, or who we are there."""

    exit_code = WRONG_USE


def kubernetes_jobs_api() -> client.BatchV1Api:
    """A client of the cluster that we are a pod of; elsewhere, of the one that kubeconfig names.

    Raises:
        KubernetesLoginError: there is neither.
    """
    login = client.Configuration()
    try:
        try:
            load_incluster_config(client_configuration=login)
        except ConfigException:  # we are no pod
            load_kube_config(client_configuration=login)
    except (ConfigException, YAMLError, OSError) as error:
        raise KubernetesLoginError(
            f'retraining.runner = "kubernetes" finds no cluster: {error}. Run `weir controller` in '
            "a pod with a service account, or name the file of a cluster in KUBECONFIG"
        ) from error
    # The controller asks again, at its next look.
    login.retries = Retry(0)
    return client.BatchV1Api(client.ApiClient(login))


class KubernetesRunner:
    """A Job of Kubernetes for each attempt.

    Args:
        timeout_s: of each request.
    """

    def __init__(
        self, api: client.BatchV1Api, settings: KubernetesSettings, timeout_s: float = _TIMEOUT_S
    ) -> None:
        self._api = api
        self._settings = settings
        self._common: dict[str, Any] = {
            "namespace": settings.namespace,
            "_request_timeout": timeout_s,
        }

    def submit(self, key: str, spec: JobSpec, attempt: int) -> None:
        """Have a Job made; nothing where this attempt has one.

        Raises:
            RunnerError: it was not made, or that is not known.
        """
        body = job_manifest(key, spec, attempt, self._settings)
        with self._asking("create", f"job {key} can't be begun"):
            try:
                self._api.create_namespaced_job(body=body, **self._common)
            except ApiException as error:
                if _status(error).reason != "AlreadyExists":
                    raise

    def state(self, key: str, attempt: int) -> JobState:
        """How an attempt at a job stands; unknown, too, once its Job is deleted.

        Raises:
            RunnerError: that can't be learned now.
        """
        with self._asking("get", f"how job {key} stands can't be learned"):
            try:
                job = self._api.read_namespaced_job(job_name(key, attempt), **self._common)
            except ApiException as error:
                if error.status == HTTPStatus.NOT_FOUND:
                    return "unknown"
                raise
        return "ended" if _has_ended(job) else "running"

    def cancel(self, key: str) -> None:
        """Delete the attempts at a job that run, and their pods; one that has ended is kept.

        Raises:
            RunnerError: that can't be done now.
        """
        failed = f"job {key} can't be ended"
        with self._asking("list", failed):
            jobs = self._api.list_namespaced_job(
                label_selector=f"{JOB_LABEL}={key}", **self._common
            ).items
        for job in jobs:
            if not _has_ended(job):
                with self._asking("delete", failed):
                    self._delete(job.metadata.name)

    def _delete(self, name: str) -> None:
        try:
            self._api.delete_namespaced_job(name, propagation_policy="Background", **self._common)
        except ApiException as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise

    @contextmanager
    def _asking(self, verb: str, failed: str) -> Iterator[None]:
        try:
            yield
        except ApiException as error:
            raise RunnerError(f"{failed}: {self._words(error, verb)}") from error
        except (HTTPError, OSError) as error:
            where = self._api.api_client.configuration.host
            raise RunnerError(
                f"{failed}: Kubernetes does not answer at {where}: {_short(str(error))}"
            ) from error

    def _words(self, error: ApiException, verb: str) -> str:
        namespace, said = self._settings.namespace, _status(error).message
        match error.status:
            case HTTPStatus.UNAUTHORIZED:
                return (
                    "Kubernetes does not know us: the token is wrong or has expired. Renew that of "
                    f"the service account or the kubeconfig. It said: {said}"
                )
            case HTTPStatus.FORBIDDEN if f'cannot {verb} resource "jobs"' in said:
                return (
                    f"Kubernetes denies it: {said}. A Role of namespace {namespace!r} has to hold "
                    f'the rule apiGroups ["batch"], resources ["jobs"], verbs ["{verb}"], and a '
                    "RoleBinding has to give it to that user; docs/retraining.md has both"
                )
            case HTTPStatus.NOT_FOUND if verb == "create":
                return (
                    f"Kubernetes has no such place: {said}. Make the namespace, or name another "
                    "in retraining.kubernetes.namespace"
                )
            case HTTPStatus.UNPROCESSABLE_ENTITY | HTTPStatus.BAD_REQUEST:
                return f"Kubernetes does not take it: {said}. See [retraining.kubernetes]"
            case _:
                return f"Kubernetes said {error.status}: {said}"


class _Status(msgspec.Struct):
    """What the API says of a request that failed."""

    reason: str = ""
    message: str = ""


def _status(error: ApiException) -> _Status:
    try:
        status = msgspec.json.decode(error.body or b"", type=_Status)
    except msgspec.MsgspecError:  # of a proxy before it
        status = _Status(message=str(error.body or error.reason))
    return _Status(status.reason, _short(status.message))


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]} …"


def _has_ended(job: Any) -> bool:
    conditions = (job.status and job.status.conditions) or []
    return any(each.type in _ENDED and each.status == "True" for each in conditions)
