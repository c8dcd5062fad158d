"""The keeper on a real cluster: what it does is on the control topic, and can be made out again."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import Any

import pytest
from canary_traffic import START, arms_of, command, record, report

from inference.canary.board import CanaryBoard, MeanwhileError
from inference.canary.follower import FeatureLogFollower
from inference.canary.keeper import Judgement, Keeper
from inference.canary.settings import CanarySettings
from inference.control.arm_reports import arms_key
from inference.control.canary import CanaryCommand
from inference.control.commands import ChampionCommand, Withdrawal, encode
from inference.control.signatures import CommandKeys
from streams.base.clock import now_ms
from streams.kafka.client import KafkaSettings
from streams.kafka.records.control_topic import write_control
from streams.kafka.records.publisher import Publisher
from streams.transactions.control_writer import ControlWriter

KEYS = list(range(400))


@dataclass
class World:
    """A cluster with an experiment, and keepers."""

    kafka: KafkaSettings
    control: str
    reports: str
    feature_log: str
    stack: ExitStack
    told: list[tuple[Judgement, dict[str, Any]]] = field(default_factory=list)

    def board(self) -> CanaryBoard:
        keys = CommandKeys(self.control)
        return self.stack.enter_context(CanaryBoard(self.kafka, keys, self.reports))

    def keeper(self, **settings: Any) -> Keeper:
        given = {"steps": [0.2, 0.5], "hold": "60s", "min_events": 50}
        keeper = Keeper(
            CanarySettings(**given | settings),
            board=self.board(),
            follow=partial(FeatureLogFollower, self.kafka, self.feature_log),
            by="keeper",
            tell=lambda said, judgement, evidence: self.told.append((judgement, evidence)),
        )
        self.stack.callback(keeper.rest)
        return keeper

    def begin(self, **values: Any) -> CanaryCommand:
        now = now_ms()
        return self.board().give(command(begun=now, stepped=now, at=now, **values))

    def send(self, *values: bytes, partition: int = 0) -> None:
        with Publisher(self.kafka) as publisher:
            for value in values:
                publisher.send(self.feature_log, value, partition=partition)
            publisher.flush()

    def until(self, keeper: Keeper, condition: Callable[[Judgement | None], bool]) -> Judgement:
        deadline = monotonic() + 60
        while True:
            judgement = keeper.look(0.2)
            if condition(judgement):
                assert judgement is not None
                return judgement
            assert monotonic() < deadline, judgement


@pytest.fixture
def world(kafka: str, make_topics: Callable[..., list[str]]) -> Iterator[World]:
    control, reports, feature_log = make_topics("control", "reports", "feature-log")
    settings = KafkaSettings(bootstrap_servers=kafka)
    with ExitStack() as stack:
        yield World(settings, control, reports, feature_log, stack)


def traffic(alerts: int = 0, share: float = 0.2, count: int = 400) -> bytes:
    """Events of as many keys; of the canary's, the first ones are flagged."""
    keys = KEYS[:count]
    arms = arms_of(keys, share)
    canary = [place for place, arm in enumerate(arms) if arm][:alerts]
    return record(keys, arms, [int(place in canary) for place in range(count)], share=share)


def test_all_is_well_so_it_steps_up_and_at_the_end_says_so(world: World) -> None:
    keeper = world.keeper()
    assert keeper.look(0.0) is None, "no experiment"
    world.begin()
    judgement = world.until(keeper, lambda each: each is not None)
    assert judgement == Judgement("wait", "it has answered 0 events of 50")
    world.send(b"garbage", traffic())
    stepped = world.until(keeper, lambda each: each is not None and each.deed == "step")
    assert stepped.share == 0.5
    said = world.board().said
    assert said is not None
    assert (said.canary.share, said.by) == (0.5, "keeper")
    assert "all is well" in said.note
    judgement = world.until(keeper, lambda each: each is not None)
    assert judgement.deed == "wait", "what was answered before is of another step"
    world.send(traffic(share=0.5))
    done = world.until(keeper, lambda each: each is not None and each.deed == "done")
    assert "weir models promote" in done.why
    _, evidence = world.told[-1]
    assert evidence["lasted_ms"] == 399_000
    assert sum(evidence["events"]) == 400


def test_it_steps_up_to_what_another_arm_leaves(world: World) -> None:
    keeper = world.keeper(steps=[0.2, 1.0], hold="0s", min_events=0)
    canary = command().canary
    other = canary.model_copy(update={"name": "b", "share": 0.1})
    world.begin(arms=(canary, other))
    stepped = world.until(keeper, lambda each: each is not None and each.deed == "step")
    assert stepped.share == 0.9
    said = world.board().said
    assert said is not None
    assert [arm.share for arm in said.arms] == [0.9, 0.1]
    world.until(keeper, lambda each: each is not None and each.deed == "done")


def test_an_experiment_ends_when_its_canary_is_champion(world: World) -> None:
    keeper = world.keeper()
    said = world.begin()
    world.until(keeper, lambda each: bool(each and each.deed == "wait"))
    promotion = ChampionCommand(model=said.canary.model, by="ada", at=now_ms())
    write_control(world.kafka, world.control, "champion", encode(promotion))
    world.until(keeper, lambda each: bool(each and each.deed == "end"))
    ended = world.board().ended
    assert ended is not None
    assert (ended.note, ended.by) == ("it is champion now", "keeper")


def test_too_short_a_step_is_waited_out_in_event_time(world: World) -> None:
    keeper = world.keeper(hold="1h")
    world.begin()
    world.send(traffic())
    judgement = world.until(keeper, lambda each: each is not None and "lasted" in each.why)
    assert (judgement.deed, judgement.why) == (
        "wait",
        "the step has lasted 0.1h of 1h of event time",
    )


def test_alerts_beyond_the_band_are_no_pass_even_where_chance_may_be_why(world: World) -> None:
    keeper = world.keeper(hold="150s")
    world.begin()
    keys = list(range(500))
    arms = arms_of(keys)
    own = [place for place, arm in enumerate(arms) if arm]
    others = [place for place, arm in enumerate(arms) if not arm]
    flagged = {*own[:7], *others[:5]}  # 11 % and 2 % of the keys
    world.send(record(keys[:300], arms[:300], [int(place in flagged) for place in range(300)]))
    judgement = world.until(keeper, lambda each: bool(each and each.why.startswith("inconcl")))
    assert judgement.deed == "wait"
    later = START + 300_000
    world.send(record(keys[300:], arms[300:], [0] * 200, first_ms=later))
    world.until(keeper, lambda each: bool(each and each.deed == "ask"))
    said = world.board().said
    assert said is not None
    assert (said.state, said.canary.share) == ("paused", 0.2)
    assert "for a person to say" in said.note


def test_one_that_flags_too_much_is_rolled_back_by_whoever_looks(world: World) -> None:
    world.begin()
    world.send(traffic(alerts=70))
    first, second = world.keeper(), world.keeper()
    judgement = world.until(first, lambda each: each is not None and each.deed == "roll back")
    assert "flags more than" in judgement.why
    board = world.board()
    assert board.said is None
    assert isinstance(board.ended, Withdrawal)
    assert board.ended.note.startswith("rolled back: it flags more")
    assert second.look(0.2) is None


def test_one_that_a_scorer_has_stopped_is_rolled_back_at_once(world: World) -> None:
    keeper = world.keeper()
    world.begin()
    world.until(keeper, lambda each: each is not None)
    said = encode(report(state="stopped"))
    write_control(world.kafka, world.reports, arms_key("scorer-1"), said)
    judgement = world.until(keeper, lambda each: each is not None and each.deed == "roll back")
    assert judgement.why == "scorer scorer-1 stopped it: why"
    write_control(world.kafka, world.reports, arms_key("scorer-1"), b"{")
    world.begin(experiment="another")
    world.until(keeper, lambda each: each is not None and each.deed == "wait")


def test_what_a_scorer_gives_as_a_reason_keeps_nothing_from_being_rolled_back(world: World) -> None:
    keeper = world.keeper()
    world.begin()
    said = report(state="stopped")
    odd = said.arms[0].model_copy(update={"reason": "\tat a.cc:5\nof b\u202e" + 900 * "\x1b"})
    said = said.model_copy(update={"arms": (odd,)})
    write_control(world.kafka, world.reports, arms_key("scorer-1"), encode(said))
    world.until(keeper, lambda each: each is not None and each.deed == "roll back")
    ended = world.board().ended
    assert ended is not None
    assert r"at a.cc:5\nof b" in ended.note


def test_a_pause_is_kept(world: World) -> None:
    keeper = world.keeper()
    world.begin(state="paused")
    world.send(traffic())
    world.until(keeper, lambda each: bool(each and world.told[-1][1]["answered"][1] >= 50))
    judgement, _ = world.told[-1]
    assert judgement == Judgement("wait", "it is paused")


def test_a_split_that_is_broken_pauses_the_experiment(world: World) -> None:
    keeper = world.keeper()
    world.begin()
    world.send(record(KEYS, [1 - arm for arm in arms_of(KEYS)], [0] * 400))
    world.until(keeper, lambda each: each is not None and each.deed == "void")
    said = world.board().said
    assert said is not None
    assert (said.state, said.canary.share) == ("paused", 0.2)
    assert "do not fall on the arms" in said.note
    judgement = keeper.look(0.2)
    assert judgement is not None
    assert judgement.deed == "void"
    assert world.board().said == said, "once is enough"


def test_what_is_found_beside_another_champion_takes_it_nowhere(world: World) -> None:
    keeper = world.keeper(hold="0s")
    world.begin(champion="c" * 64)
    world.send(traffic())
    judgement = world.until(keeper, lambda each: bool(each and world.told[-1][1]["answered"][1]))
    assert judgement.deed == "void"
    said = world.board().said
    assert said is not None
    assert (said.state, said.canary.share) == ("paused", 0.2)
    assert "another model than cccccccccccc" in said.note


def test_a_keeper_that_takes_over_finds_the_same_evidence(world: World) -> None:
    first = world.keeper(hold="10h")
    world.begin()
    world.send(traffic(alerts=5))
    world.until(first, lambda each: each is not None and "lasted" in each.why)
    _, evidence = world.told[-1]
    second = world.keeper(hold="10h")
    world.until(second, lambda each: each is not None and "lasted" in each.why)
    _, again = world.told[-1]
    assert again == evidence


def test_who_is_overtaken_by_any_other_command_is_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = world.board()
    write = ControlWriter.write

    def another_opens(writer: ControlWriter, *arguments: Any) -> tuple[int, int]:
        with ControlWriter(world.kafka, world.control):
            return write(writer, *arguments)

    monkeypatch.setattr(ControlWriter, "write", another_opens)
    with pytest.raises(MeanwhileError, match="at the same time"):
        board.give(command())
    monkeypatch.undo()
    assert board.said is None
    board.give(command())


def test_of_two_who_command_at_once_one_is_refused(world: World) -> None:
    ada, eve = world.board(), world.board()
    now = now_ms()
    given = ada.give(command(at=now))
    with pytest.raises(MeanwhileError, match="weir canary status"):
        eve.give(command(0.5, at=now))
    assert eve.said == given
    assert eve.give(command(0.5, at=0)).at > given.at, "clocks that go wrong do not matter"
