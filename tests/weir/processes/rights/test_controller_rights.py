"""The retraining controller, whose client is Faust's, on a cluster with TLS, logins and ACLs."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing

import pytest
from front_door import weir
from running_scorer import Scorer
from said_by_users import Run
from security_world import World

from monitoring.episodes.episode import ENCODE_EPISODE, Episode, WorseFigure
from monitoring.retraining.state import DECODE_STATE, ControllerState
from streams.kafka.records.control_topic import ControlReader
from streams.kafka.records.publisher import Publisher
from streams.kafka.rights.acl import Acl
from streams.kafka.rights.process import Process

USER = "controller"


@pytest.fixture(scope="module")
def acls(world: World) -> Iterator[list[Acl]]:
    """What the user may do: no more than `weir acls` says."""
    acls = world.needs(Process.CONTROLLER)
    world.grant(USER, acls)
    yield acls
    for acl in acls:
        world.take_away(USER, acl)


@pytest.fixture
def begin(start: Callable[..., Scorer], world: World) -> Callable[..., Scorer]:
    def begin(*, certificate: bool = False) -> Scorer:
        config = world.write(USER, certificate=certificate)
        secrets = {"WEIR_KAFKA__SASL_PASSWORD": world.secured.passwords[USER]}
        return start(config, command="controller", **({} if certificate else secrets))

    return begin


def say(world: World, name: str) -> None:
    """As the monitor says that a model's performance is lost."""
    figure = WorseFigure("cost", 1, 9.0, 2.0, 1.0, "it costs twice as much")
    lost = Episode(name, "all", "performance_loss", "page", "open", 1, 2, [], figures=[figure])
    with Publisher(world.kafka) as publisher:
        publisher.send(world.settings.topics.drift, ENCODE_EPISODE(lost), key=name)
        publisher.flush()


def kept(world: World) -> ControllerState:
    """What stands in the topic of its table."""
    with closing(ControlReader(world.kafka, world.settings.topics.retraining_state)) as reader:
        records = list(reader.read_to_end().values())
    return DECODE_STATE(records[0].value or b"") if records else ControllerState()


def hears(world: World, controller: Scorer, name: str, before: Sequence[str]) -> None:
    """Wait until it is at work, knows the episodes before, and has kept one more."""
    known = [*before, name]
    controller.wait_for(lambda: controller.metrics()["weir_retraining_controller_at_work"] == 1.0)
    assert controller.readiness()[0] == 200
    assert sorted(kept(world).episodes) == sorted(before)
    say(world, name)
    controller.wait_for(lambda: sorted(kept(world).episodes) == sorted(known))
    controller.wait_for(lambda: controller.metrics()["weir_retraining_phase:warn"] == 1.0)
    assert controller.end() == 0, controller.log
    world.check_silence(controller.log)


def test_it_hears_and_keeps_with_just_its_rights(
    world: World, run: Run, acls: list[Acl], begin: Callable[..., Scorer]
) -> None:
    assert run("admin", "topics").code == 0
    # First with a password, then with a certificate instead.
    hears(world, begin(), "first", [])
    hears(world, begin(certificate=True), "second", ["first"])


def test_a_wrong_password_is_told_as_to_others(world: World) -> None:
    said = weir(
        "controller", "-c", world.write(USER), WEIR_KAFKA__SASL_PASSWORD="not-the-right-one"
    )
    assert said.returncode == 3, said.stderr
    assert f"wrong user name or password for '{USER}'" in " ".join(said.stderr.split())
    assert "not-the-right-one" not in said.stderr


@pytest.mark.exhaustive
@pytest.mark.parametrize("number", range(9))
def test_it_says_which_right_it_lacks_at_its_start(
    world: World, run: Run, acls: list[Acl], number: int
) -> None:
    # Nobody can ask for a transactional id; the first candidate that is named shows it.
    asked = [each for each in acls if each.resource != "transactional-id"]
    assert len(asked) == 9
    assert run("admin", "topics").code == 0
    world.take_away(USER, asked[number])
    try:
        said = run(USER, "controller")
    finally:
        world.grant(USER, [asked[number]])
    assert said.code == 3
    assert f"Kafka denies user '{USER}': {asked[number]}." in said.err
