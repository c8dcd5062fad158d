"""The Kubernetes Job that runs a retraining job: a pure function of what was decided."""

from typing import Any

import msgspec

from monitoring.retraining.jobs.job import JobSpec, RunnerError
from monitoring.retraining.jobs.kubernetes_settings import KubernetesSettings

JOB_LABEL = "weir-job"
"""Under this label stands the job's key."""
_SETTINGS, _WORK = "/etc/weir", "/work"
_FILE = f"{_SETTINGS}/weir.toml"
_LONGEST_ARGUMENT = 128 * 1024 - 1
"""What Linux hands to a process, in bytes."""


def job_name(key: str, attempt: int) -> str:
    """The name of an attempt at a job: two controllers that begin it name the same one."""
    return f"weir-retrain-{key}-{attempt}"


def job_manifest(
    key: str, spec: JobSpec, attempt: int, settings: KubernetesSettings
) -> dict[str, Any]:
    """The Job: one pod, once; how often it is tried the controller counts.

    The pod asks for nothing that a namespace with the Pod Security Standard ``restricted`` refuses.

    Raises:
        RunnerError: the spec is longer than what a process can be given.
    """
    labels = {
        "app.kubernetes.io/name": "weir",
        "app.kubernetes.io/component": "retrain",
        JOB_LABEL: key,
    }
    amount = {"cpu": settings.cpu, "memory": settings.memory}
    weir = {
        "name": "weir",
        "image": settings.image,
        "command": ["weir", "retrain", _argument(key, spec), "--config", _FILE, "--no-progress"],
        # A data folder that the settings name without a slash in front can be written.
        "workingDir": _WORK,
        "resources": {"requests": amount, "limits": amount},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": [
            {"name": "settings", "mountPath": _SETTINGS, "readOnly": True},
            {"name": "work", "mountPath": _WORK},
        ],
    }
    pod = {
        "restartPolicy": "Never",
        "serviceAccountName": settings.service_account,
        "automountServiceAccountToken": False,
        "containers": [weir],
        "volumes": [{"name": "settings", **_source(settings)}, {"name": "work", "emptyDir": {}}],
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": job_name(key, attempt), "labels": labels},
        "spec": {
            "backoffLimit": 0,
            "ttlSecondsAfterFinished": settings.ttl_after_finished // 1_000,
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def _source(settings: KubernetesSettings) -> dict[str, Any]:
    if settings.secret:
        return {"secret": {"secretName": settings.secret}}
    return {"configMap": {"name": settings.config_map}}


def _argument(key: str, spec: JobSpec) -> str:
    # Kubernetes puts variables in place of what looks like `$(NAME)`; no `$`, no such place.
    text = msgspec.json.encode(spec).decode().replace("$", "\\u0024")
    if len(text.encode()) > _LONGEST_ARGUMENT:
        raise RunnerError(
            f"job {key} can't be begun: its spec has {len(text.encode()):,} bytes, and a process "
            f'takes {_LONGEST_ARGUMENT:,}: set retraining.runner to "outbox"'
        )
    return text
