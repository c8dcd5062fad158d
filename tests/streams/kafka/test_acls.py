"""What each process needs, with the names of the settings."""

import pytest

from streams.kafka.rights.acl import Acl
from streams.kafka.rights.acls import Usage, acls_of, requeue_acls
from streams.kafka.rights.process import COMMANDS, Process
from streams.kafka.topics.weir_topics import ROLES, TopicSettings

TOPICS = TopicSettings(
    events="e",
    scores="s",
    feature_log="f",
    dead_letters="d",
    labels="l",
    snapshots="n",
    control="c",
    reports="r",
    positions="p",
)
USAGE = Usage(TOPICS, "g")


def names(operation: str, process: Process, usage: Usage = USAGE) -> set[str]:
    """What a process may do this to, each with its kind unless it is a topic."""
    return {
        acl.name if acl.resource == "topic" else f"{acl.resource}:{acl.name}"
        for acl in acls_of(process, usage)
        if acl.operation == operation
    }


@pytest.mark.parametrize("process", Process)
def test_each_process_has_commands_and_rights_of_which_none_is_said_twice(process: Process) -> None:
    acls = acls_of(process, USAGE)
    assert acls
    assert len(set(acls)) == len(acls)
    assert all(acl.why for acl in acls)
    assert all(command.startswith("weir ") for command in COMMANDS[process])


def test_only_who_makes_topics_may_make_them() -> None:
    assert names("Create", Process.TOPICS) == {TOPICS.name(role) for role in ROLES}
    following = {"s", "f", TOPICS.explanations, TOPICS.shadow_scores, TOPICS.shadow_evidence}
    following.add(TOPICS.performance_state)
    assert names("Alter", Process.TOPICS) == following
    for process in set(Process) - {Process.TOPICS}:
        assert not names("Create", process)
        assert not names("Alter", process)
        deletes = process in (Process.PURGE, Process.ERASER)
        assert names("Delete", process) == ({"d"} if deletes else set())


def test_a_scorer_that_is_fused() -> None:
    assert names("Read", Process.SCORER) == {"e", "l", "n", "c", "r", "p", "group:g"}
    assert names("Write", Process.SCORER) == {
        *("s", "f", "d", "n", "r", "p"),
        "transactional-id:g-fused",
    }
    assert not names("Describe", Process.SCORER)


def test_a_scorer_without_labels_and_snapshots_reads_neither() -> None:
    usage = Usage(TOPICS, "g", reads_labels=False, snapshots=False)
    assert names("Read", Process.SCORER, usage) == {"e", "c", "r", "p", "group:g"}
    assert "n" not in names("Write", Process.SCORER, usage)
    assert names("Describe", Process.SCORER, usage) == {"l", "n"}


def test_a_staged_scorer_has_its_stages_and_an_id_for_each_worker() -> None:
    usage = Usage(TOPICS, "g", stages=["weir.by-terminal_id", "weir.enriched"])
    assert set(usage.stages) <= names("Read", Process.SCORER, usage)
    assert set(usage.stages) <= names("Write", Process.SCORER, usage)
    assert set(usage.stages) <= names("Create", Process.TOPICS, usage)
    acls = acls_of(Process.SCORER, usage)
    (own,) = [acl for acl in acls if acl.resource == "transactional-id"]
    assert own == Acl("Write", "transactional-id", "g-staged-", "prefixed")
    assert str(own) == "Write on transactional id whose name begins with 'g-staged-'"
    assert own.binding("User:x").resource_pattern_type.name == "PREFIXED"


def test_a_topic_of_anchors_is_written_by_the_sink_and_read_by_the_auditor() -> None:
    usage = Usage(TOPICS, "g", witness_topic="w")
    among = {
        (process, acl.operation)
        for process in Process
        for acl in acls_of(process, usage)
        if acl.name == "w"
    }
    assert among == {
        (Process.SINK, "Read"),
        (Process.SINK, "Write"),
        (Process.AUDITOR, "Read"),
        (Process.TOPICS, "Create"),
        (Process.TOPICS, "Describe"),
    }
    # Without one, nobody gets a right to a topic that has no name.
    assert all(acl.name for process in Process for acl in acls_of(process, USAGE))


def test_who_labels_writes_labels_and_nothing_else() -> None:
    assert acls_of(Process.LABELLER, USAGE) == [Acl("Write", "topic", "l")]


def test_requeuing_writes_to_where_the_letters_go() -> None:
    base = {"d", "transactional-id:d-requeue"}

    def written(acls: list[Acl]) -> set[str]:
        return {
            acl.name if acl.resource == "topic" else f"{acl.resource}:{acl.name}"
            for acl in acls
            if acl.operation == "Write"
        }

    assert written(requeue_acls(USAGE)) == base | {"e", "l"}
    assert written(requeue_acls(Usage(TOPICS, "g", reads_labels=False))) == base | {"e"}
    assert written(requeue_acls(USAGE, ["elsewhere"])) == base | {"elsewhere"}
