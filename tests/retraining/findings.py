"""What a schedule has led to, and what of that should not be."""

from dataclasses import dataclass, field


@dataclass
class Findings:
    """What stands in topics, folders and registry at the end.

    Attributes:
        episode: the one that asked for retraining.
        decided: the cause of each job that any record of any topic has ever named, by key.
        folders: keys of the jobs that the runner was given.
        models: packages in the registry beside the champion's.
        of_job: the package that the registry has under each key of `decided`.
        aliases: of those models.
        named: candidate and package of each command of the shadow, in the order of the topic.
        expected: the candidate's name, by key.
        attempts: at the job.
        kills: of controllers and jobs.
        while_broken: whether a job was decided while data were broken.
    """

    episode: str
    decided: dict[str, str] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    of_job: dict[str, str] = field(default_factory=dict)
    aliases: list[str] = field(default_factory=list)
    named: list[tuple[str, str]] = field(default_factory=list)
    expected: dict[str, str] = field(default_factory=dict)
    attempts: int = 0
    kills: int = 0
    while_broken: bool = False


def judge(found: Findings) -> list[str]:
    """Broken promises, in words; none where all is as it should be."""
    wrong = []
    if list(found.decided.values()) != [found.episode]:
        wrong.append(f"one job for episode {found.episode}, but decided were {found.decided}")
    if sorted(found.folders) != sorted(found.decided):
        wrong.append(f"one job was to run, but {found.folders} did; decided: {found.decided}")
    if len(found.models) != 1 or sorted(found.of_job.values()) != found.models:
        wrong.append(
            f"one model of the job, but the registry has {found.models}; by key: {found.of_job}"
        )
    named = [(found.expected.get(key, "?"), package) for key, package in found.of_job.items()]
    if found.named != named:
        wrong.append(f"one candidate, {named}, but the control topic names {found.named}")
    if found.aliases:
        wrong.append(f"a candidate and nothing else, but its model is {found.aliases}")
    if found.attempts > 1 + found.kills:
        wrong.append(f"{found.attempts} attempts with {found.kills} kills")
    if found.while_broken:
        wrong.append("a job was decided while data were broken")
    return wrong
