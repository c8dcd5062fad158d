"""`weir retrain`: one retraining job, as the controller or an orchestrator begins it."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from monitoring.retraining.jobs.job import JobSpec
from weir.cli.console import ConfigOption, JsonOption, QuietOption, print_json, stdout, steps_bar
from weir.config.errors import SettingsError
from weir.config.settings import load_settings
from weir.training.retraining import run_job

_MOST_BYTES = 1 << 20


class _Spec(JobSpec, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What we do not know of may be what a model must not learn from: such a job is not run."""


def retrain(
    spec: Annotated[
        str, typer.Argument(help="File of the job's spec, or the spec itself as JSON.")
    ],
    config: ConfigOption = None,
    as_json: JsonOption = False,
    no_progress: QuietOption = False,
) -> None:
    """Run a retraining job: train the model that its spec names, and register it.

    The spec is what `weir controller` decided, such as of a record on the topic of retraining. The
    model becomes a candidate of the shadow, and nothing else. A job that has run does nothing: the
    registry has its model under the job's key.
    """
    job = _read(spec)
    settings = load_settings(config)
    with steps_bar(not (no_progress or as_json)) as step:
        model, known = run_job(settings, job, step)
    if as_json:
        print_json({"job": job.key, "known": known, "model": asdict(model)})
    else:
        had = "the registry has it already" if known else "registered"
        stdout.print(
            f"job {job.key}: model {model.package_id[:12]}, version {model.version}, {had}"
        )


def _read(spec: str) -> JobSpec:
    try:
        text = spec.encode() if spec.lstrip().startswith("{") else Path(spec).read_bytes()
        if len(text) > _MOST_BYTES:
            raise SettingsError(f"{spec[:80]}: a spec of {len(text):,} bytes is none")
        return msgspec.json.decode(text, type=_Spec)
    except OSError as error:
        raise SettingsError(f"{spec[:200]}: {error.strerror}") from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"{spec[:80]}: it is no spec of a job ({error}); `weir controller status --json` shows "
            "those that were decided. A controller newer than this Weir may have decided it: run "
            "jobs by its version"
        ) from error
