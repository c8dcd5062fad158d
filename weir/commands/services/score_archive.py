"""`weir score --archive`: what a model and the policy say of the events of an archive."""

import tempfile
from dataclasses import replace
from pathlib import Path

from streams.spark.writing import check_place, publish
from weir.cli.console import ComputeEngine, print_json, stdout
from weir.config.settings import Settings
from weir.training.archive_scoring import score_files, scoring_job


def score_archive(
    settings: Settings,
    archive: str,
    model: str | None,
    out: Path,
    engine: ComputeEngine,
    as_json: bool,
) -> None:
    """Score, and print how many events got which decision.

    Raises:
        InferenceError: there is no such model, or it does not work.
        ArchiveError, ArchiveAwayError: there are no events of its features, or they can't be read.
        FolderTakenError: the folder holds something else.
    """
    check_place(out)
    out = out.absolute()
    out.parent.mkdir(parents=True, exist_ok=True)
    job = scoring_job(settings, archive, model, out)
    with tempfile.TemporaryDirectory(prefix=f"{out.name}.half-", dir=out.parent) as folder:
        job = replace(job, out=Path(folder) / "parts")
        job.out.mkdir()
        counts = score_files(settings, job, engine, not as_json)
        publish(job.out, out)
    events = sum(counts.values())
    if as_json:
        print_json(
            {"out": out, "events": events, "decisions": counts, "model": job.package.id}
            | {"policy": job.policy.version, "archive_version": job.version}
        )
        return
    stdout.print(
        f"{out}: {events:,} events by model {job.package.short_id}, policy {job.policy.version}: "
        + ", ".join(f"{decision} {count:,}" for decision, count in counts.items()),
        soft_wrap=True,
    )
