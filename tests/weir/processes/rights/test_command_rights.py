"""Commands work with just the rights that `weir acls` names, and say which one is missing."""

import pytest
from front_door import Trained
from said_by_users import Run, done
from security_world import World

from streams.kafka.rights.process import Process


@pytest.mark.parametrize(
    ("arguments", "rights"),
    [
        (["replay", "{events}"], ["Write on topic 'events", "Write on topic 'labels"]),
        (["replay", "{events}", "--no-labels"], ["Write on topic 'events"]),
        (["evaluate"], ["Read on topic 'scores", "Read on topic 'labels"]),
        (["label", "1", "fraud"], ["Write on topic 'labels"]),
        (["dead-letters", "list"], ["Read on topic 'dead_letters"]),
        (
            ["dead-letters", "requeue", "--yes"],
            ["Read on topic 'dead_letters", "Write on topic 'dead_letters", "Write on topic 'ev"],
        ),
        (
            ["dead-letters", "purge", "--all", "--yes"],
            ["Read on topic 'dead_letters", "Delete on topic 'dead_letters"],
        ),
        (["fidelity"], ["Read on topic 'feature_log"]),
        (["policy", "show"], ["Read on topic 'control", "Read on topic 'reports"]),
        (
            ["models", "rollback"],
            ["Read on topic 'control", "Read on topic 'reports", "Write on topic 'control"],
        ),
    ],
)
def test_who_has_no_rights_is_told_all_that_are_missing(
    world: World, trained: Trained, run: Run, arguments: list[str], rights: list[str]
) -> None:
    assert run("admin", "topics").code == 0
    said = run("nobody", *(each.format(events=trained.events) for each in arguments))
    assert said.code == 3
    for right in rights:
        assert right in said.err
    assert "Kafka denies user 'nobody'" in said.err
    assert "weir acls" in said.err


def test_a_person_labels_with_just_the_right_to(world: World, run: Run) -> None:
    assert run("admin", "topics").code == 0
    acls = world.needs(Process.LABELLER)
    world.grant("nobody", acls)
    try:
        assert done(run("nobody", "label", 1, "fraud", "--by", "ada", "--json"))["label"] == "fraud"
    finally:
        for acl in acls:
            world.take_away("nobody", acl)
    said = run("nobody", "label", 1, "legitimate")
    assert said.code == 3
    assert f"Kafka denies user 'nobody': {acls[0]}." in said.err


def test_who_only_looks_can_not_command(world: World, run: Run) -> None:
    assert run("admin", "topics").code == 0
    acls = world.needs(Process.VIEWER)
    world.grant("nobody", acls)
    try:
        for look in (("models", "serving"), ("policy", "show"), ("shadow", "status")):
            assert isinstance(done(run("nobody", *look, "--json")), dict)
        said = run("nobody", "policy", "set", "--by", "ada", "--wait", 0, "--version", "2")
        assert said.code == 3
        assert "Write on topic 'control" in said.err
        found = world.settings.topics.comparisons
        for acl in acls:
            world.take_away("nobody", acl)
            # What was found of a model is for its gates; nothing else asks for that right.
            of_gates = acl.name == found
            look = ("models", "gates", "1") if of_gates else ("policy", "show")
            assert f"Kafka denies user 'nobody': {acl}." in run("nobody", *look).err
            if of_gates:
                assert run("nobody", "policy", "show").code == 0
            world.grant("nobody", [acl])
    finally:
        for acl in acls:
            world.take_away("nobody", acl)


def test_who_compares_candidates_needs_no_more_than_that(world: World, run: Run) -> None:
    assert run("admin", "topics").code == 0
    acls = world.needs(Process.COMPARISON)
    world.grant("nobody", acls)
    try:
        for acl in acls:
            world.take_away("nobody", acl)
            said = run("nobody", "shadow", "compare", "none")
            assert f"Kafka denies user 'nobody': {acl}." in said.err
            world.grant("nobody", [acl])
        said = run("nobody", "shadow", "compare", "none")
        assert (said.code, "there is no candidate 'none'" in said.err) == (2, True)
    finally:
        for acl in acls:
            world.take_away("nobody", acl)


def test_an_auditor_hears_the_witness_with_just_the_rights_to(world: World, run: Run) -> None:
    assert run("admin", "topics").code == 0
    acls = world.needs(Process.AUDITOR)
    hears = ("audit", "verify", "--witness")
    store, data_dir = world.settings.store, world.settings.data_dir
    store.open_signer(data_dir)
    store.open_database(data_dir).close()
    assert "what Kafka witnesses of the store: " in run("nobody", *hears).err
    world.grant("nobody", acls)
    try:
        said = run("nobody", *hears)
    finally:
        for acl in acls:
            world.take_away("nobody", acl)
    assert (said.code, said.err) == (0, "")
    assert f"topic '{store.witness_topic}' has none" in said.out
    for acl in acls:
        world.grant("nobody", [acl])
        try:
            said = run("nobody", *hears)
            assert said.code == 3
            assert "`weir acls" in said.err
        finally:
            world.take_away("nobody", acl)


def test_requeuing_without_the_right_to_its_transactional_id_says_so(
    world: World, run: Run
) -> None:
    assert run("admin", "topics").code == 0
    acls = world.needs(Process.REQUEUE)
    (own,) = [acl for acl in acls if acl.resource == "transactional-id"]
    world.grant("analyst", acls)
    world.take_away("analyst", own)
    try:
        said = run("analyst", "dead-letters", "requeue", "--yes")
    finally:
        world.grant("analyst", [own])
    assert said.code == 3
    assert f"Kafka denies user 'analyst': {own}." in said.err


def test_commanding_without_the_right_to_the_transactional_id_says_so(
    world: World, run: Run
) -> None:
    assert run("admin", "topics").code == 0
    acls = world.needs(Process.CONTROL)
    (own,) = [acl for acl in acls if acl.resource == "transactional-id"]
    command = ("policy", "set", "--by", "ada", "--wait", 0, "--version")
    world.grant("analyst", acls)
    try:
        assert run("analyst", *command, "2").code == 0
        world.take_away("analyst", own)
        said = run("analyst", *command, "3")
    finally:
        for acl in acls:
            if acl is not own:
                world.take_away("analyst", acl)
    assert said.code == 3
    assert f"Kafka denies user 'analyst': {own}." in said.err


def test_who_may_not_change_acls_is_told(run: Run) -> None:
    said = run("nobody", "acls", "--process", "scorer", "--principal", "User:nobody", "--grant")
    assert said.code == 3
    assert "Alter on the cluster" in said.err
