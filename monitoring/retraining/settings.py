"""The ``[retraining]`` section."""

from typing import Literal

from pydantic import Field, model_validator

from monitoring.retraining.jobs.kubernetes_settings import KubernetesSettings
from streams.base.section import Duration, Name, Section

_DAY_MS = 86_400_000


class RetrainingSettings(Section):
    """The ``[retraining]`` section: `weir controller`, which has models trained anew.

    Attributes:
        group: consumer group of the controllers, one of which is at work.
        runner: who runs jobs: ``local``, this machine; ``kubernetes``, a cluster; or ``outbox``:
            whoever reads the topic of retraining, such as Airflow, Argo or Prefect.
        every: train anew so often, beside what drift asks for; never if ``0s``.
        span: train on the last events of so much event time; on all of the archive if ``0s``.
        cooldown: after a job, no other begins for so long.
        per_day: jobs that begin in 24 hours at most.
        min_labels, min_frauds: mature events with a label, and frauds among them, since an episode
            began, before a job begins because of it; else in all of the span.
        job_timeout: a job that takes longer is cancelled.
        attempts: at one job, where it fails.
        trial: a candidate that is not champion by then leaves the shadow.
        look: how often the controller looks at jobs, candidates and the archive.
        kubernetes: the Jobs of that runner.
    """

    group: Name = "weir-controller"
    runner: Literal["local", "kubernetes", "outbox"] = "local"
    every: Duration = Field(default=0, ge=0)
    span: Duration = Field(default=0, ge=0)
    cooldown: Duration = Field(default=_DAY_MS, ge=0)
    per_day: int = Field(default=2, ge=1)
    min_labels: int = Field(default=1_000, ge=0)
    min_frauds: int = Field(default=20, ge=0)
    job_timeout: Duration = Field(default=_DAY_MS // 4, gt=0)
    attempts: int = Field(default=3, ge=1)
    trial: Duration = Field(default=60 * _DAY_MS, gt=0)
    look: Duration = Field(default=10_000, ge=100)
    kubernetes: KubernetesSettings | None = None

    @model_validator(mode="after")
    def _jobs_are_described(self) -> "RetrainingSettings":
        if self.runner == "kubernetes" and self.kubernetes is None:
            raise ValueError(
                'runner = "kubernetes" needs the section [retraining.kubernetes], with the image '
                "of its jobs and the Secret or ConfigMap that holds weir.toml for them"
            )
        return self
