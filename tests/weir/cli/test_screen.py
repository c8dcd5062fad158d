"""What the demo shows."""

import io

import pytest
from rich.console import Console

from inference.serving.score_record import Score, Timings
from weir.cli import console as front
from weir.demo.screen import Lines, Screen, summary_table
from weir.demo.watcher import Seen


def score(event, decision="decline"):
    return Score(
        event_id=event,
        key=218,
        event_time=1_774_600_330_241,
        score=0.7,
        probability=0.9374,
        anomaly=0.99,
        decision=decision,
        model="m",
        policy="1",
        feature_schema="f",
        arrived=1,
        timings=Timings(scored=1, batch=1, decode_us=1, features_us=1, inference_us=1),
    )


def busy():
    """As it is in the middle of a long demo."""
    seen = Seen(answered=set(range(121_231)), latencies_ms=[124.0, 1_242.2])
    seen.decisions.update(approve=119_930, review=1_146, decline=200)
    seen.dead_letters["not-json"] = 7
    seen.flagged = [score(120_000 + i, "review" if i % 2 else "decline") for i in range(5)]
    return seen


def draw(renderable, width):
    out = Console(file=io.StringIO(), width=width, force_terminal=False)
    out.print(renderable)
    return out.file.getvalue().splitlines()


@pytest.fixture
def screen():
    screen = Screen(busy(), "2ecb19df6b2b")
    screen.phase("live, 1,000 events/s", 121_276)
    screen.sent(121_276)
    return screen


@pytest.mark.parametrize("width", [80, 100, 200])
def test_each_fact_is_whole_on_a_line_of_its_own(screen, width):
    lines = draw(screen, width)
    assert len(lines) == 11
    assert "2ecb19df6b2b" in lines[0]
    assert "live, 1,000 events/s" in lines[1]
    assert set(lines[2].strip("│ ")) <= set("━╸╺")
    assert "sent 121,276   answered 121,238" in lines[3]
    assert "p50 683.1 ms   p99 1,231.0 ms" in lines[3]
    assert "approve 119,930   review 1,146   decline 200   dead letters 7" in lines[4]
    for i, line in enumerate(lines[5:10]):
        assert f"event {120_000 + i}  2026-03-27 08:32:10  probability 0.937" in line
    assert all(len(line) <= 80 for line in lines)


def test_it_is_as_high_before_the_first_answer_and_on_a_narrow_terminal(screen):
    assert len(draw(Screen(Seen(), "m"), 80)) == 11
    narrow = draw(screen, 50)
    assert len(narrow) == 11
    assert all(len(line) <= 50 for line in narrow)


def test_it_says_what_is_waited_for(screen):
    waiting = Screen(Seen(), "m")
    waiting.phase("catching up with history", 100)
    assert "starting" not in draw(waiting, 80)[1]
    waiting.sent(100)
    assert "catching up with history: the scorer is starting" in draw(waiting, 80)[1]
    assert "starting" not in draw(screen, 80)[1]


def test_ids_and_keys_of_the_users_are_not_read_as_markup():
    seen = Seen(answered={"[red]x"}, flagged=[score("[/b]x[link=a]")])
    assert "event [/b]x[link=a]" in "\n".join(draw(Screen(seen, "m"), 80))


SUMMARY = {
    "events": 121_276,
    "scored": 121_270,
    "lost": 6,
    "duplicated": 0,
    "dead_letters": 0,
    "events_per_second": 999.6,
    "history_events_per_second": 28_399.5,
    "latency_ms": {"p50": 85.92, "p99": None},
    "decisions": {"approve": 1, "review": 2, "decline": 3},
    "quality": {
        "k": 20,
        "auc": 0.93596,
        "average_precision": None,
        "card_precision": 0.3,
        "recall_at_capacity": 0.75,
    },
}


def test_the_summary_does_not_wrap_and_shows_what_is_undefined():
    lines = draw(summary_table(SUMMARY), 80)
    text = "\n".join(lines)
    assert len(lines) == 1 + 1 + 15 + 1
    for name, value in (
        ("lost", "6"),
        ("then live at", "1,000 events/s"),
        ("latency p50 / p99", "85.9 ms / -"),
        ("average precision", "-"),
        ("AUC", "0.936"),
    ):
        (line,) = [each for each in lines if each.strip("│ ").startswith(name)]
        assert line.rstrip("│ ").endswith(value), text


def test_a_loss_is_red():
    out = Console(file=io.StringIO(), width=80, force_terminal=True, color_system="standard")
    out.print(summary_table(SUMMARY))
    lost, duplicated = (
        next(line for line in out.file.getvalue().splitlines() if name in line)
        for name in ("lost", "duplicated")
    )
    assert "\x1b[31m" in lost
    assert "\x1b[31m" not in duplicated


@pytest.mark.parametrize("dumb", [True, False])
def test_without_a_terminal_that_draws_each_step_is_a_line(monkeypatch, dumb):
    plain = Console(
        file=io.StringIO(), force_terminal=dumb, _environ={"TERM": "dumb", "COLUMNS": "80"}
    )
    monkeypatch.setattr(front, "stderr", plain)
    monkeypatch.setattr("weir.demo.screen.stderr", plain)
    with front.steps_bar() as step:
        for share in (0.0, 0.5):
            step("reading", share)
        step("training", 0.0)
    with front.progress_bar("replaying") as bar:
        bar(1, 2)
    lines = Lines()
    lines.phase("live", 1_200)
    lines.sent(7)
    assert plain.file.getvalue().split("\n") == [
        "reading",
        "training",
        "live: up to event 1,200",
        "",
    ]
