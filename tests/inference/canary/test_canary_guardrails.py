"""Guardrails of a canary: harm is found, and a canary that is right is left alone."""

import numpy as np
import pyarrow as pa
import pytest
from canary_traffic import START, arms_of, command, report, table

from inference.canary.guardrails import Guardrails, stopped
from inference.canary.settings import CanarySettings
from inference.canary.traffic import Traffic


def test_traffic_is_counted_by_the_arm_of_the_key() -> None:
    traffic = Traffic(command())
    keys = [*range(100), *range(100)]
    arms = arms_of(keys)
    own = sum(arms) // 2
    assert 5 < own < 50
    traffic.take(0, table(keys, arms, [0] * 100 + [1] * 100))
    traffic.take(0, table(keys[:0], [], []))
    assert traffic.events.tolist() == [200 - 2 * own, 2 * own]
    assert traffic.keys.tolist() == [100 - own, own]
    assert traffic.alerts.tolist() == [100 - own, own], "of each key one counts"
    assert traffic.answered.tolist() == [200 - 2 * own, 2 * own]
    assert traffic.misplaced == 0
    assert traffic.lasted == 199_000
    traffic.take(1, table([1], arms_of([1]), [0], first_ms=START + 5_000))
    assert traffic.lasted == 5_000, "the partition that is furthest behind decides"
    before = traffic.events.sum()
    traffic.take(0, table(keys, arms, [0] * 200, share=0.1))
    assert traffic.events.sum() == before, "they are of another step"
    traffic.take(0, table(keys, arms, [0] * 200, experiment="f"))
    assert traffic.events.sum() == before, "they are of another experiment"


def test_a_decline_that_was_let_through_is_an_alert_still() -> None:
    keys = list(range(50))
    found, said = Traffic(command()), table(keys, arms_of(keys), [0] * 50)
    chances = pa.array([0.2 if arm == 0 else None for arm in arms_of(keys)], pa.float64())
    found.take(0, said.append_column("approve_through", chances))
    assert found.alerts.tolist() == [arms_of(keys).count(0), 0]


def test_of_very_many_keys_enough_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inference.canary.traffic._MOST_KEYS", 60)
    traffic = Traffic(command())
    for first in (0, 50, 0):
        keys = list(range(first, first + 100))
        traffic.take(0, table(keys, arms_of(keys), [1] * 100))
    assert traffic.keys.sum() == 60
    assert traffic.alerts.tolist() == traffic.keys.tolist()
    assert traffic.events.sum() == 300


def test_a_partition_that_has_gone_quiet_holds_no_step_up(monkeypatch: pytest.MonkeyPatch) -> None:
    traffic = Traffic(command())
    traffic.take(0, table([1], arms_of([1]), [0]))
    traffic.take(1, table(range(100), arms_of(range(100)), [0] * 100))
    assert traffic.lasted == 0
    traffic._heard[0] -= 3_600
    assert traffic.lasted == 99_000


def test_events_that_the_champion_answered_are_no_exposure() -> None:
    traffic = Traffic(command())
    arms = arms_of(range(100))
    traffic.take(0, table(range(100), arms, [0] * 100, stood_in=True))
    assert traffic.events[1] == sum(arms)
    assert traffic.answered[1] == 0


def test_an_event_in_another_arm_than_its_key_s_breaks_the_split() -> None:
    traffic = Traffic(command())
    guardrails = Guardrails(CanarySettings(), traffic)
    arms = arms_of(range(100))
    traffic.take(0, table(range(100), arms, [0] * 100))
    guardrails.look({})
    assert not guardrails.split_is_broken()
    traffic.take(0, table([100], [1 - arms_of([100])[0]], [0]))
    guardrails.look({})
    assert guardrails.split_is_broken()


def test_a_split_that_is_off_is_told_from_chance() -> None:
    off, right = (Guardrails(CanarySettings(), Traffic(command())) for _ in range(2))
    for guardrails, share in ((off, 0.25), (right, 0.2)):
        guardrails.traffic.keys[:] = [round(10_000 * (1 - share)), round(10_000 * share)]
        guardrails.look({})
    assert off.split_is_broken()
    assert not right.split_is_broken()


@pytest.mark.parametrize(
    ("ratio", "alarm"), [(1.0, None), (5.0, "flags more"), (0.1, "flags fewer"), (1.5, None)]
)
def test_alerts_out_of_their_band_are_found(ratio: float, alarm: str | None) -> None:
    guardrails = Guardrails(CanarySettings(), Traffic(command()))
    generator = np.random.default_rng(7)
    for _ in range(400):
        guardrails.traffic.alerts[0] += generator.poisson(8.0)
        guardrails.traffic.alerts[1] += generator.poisson(2.0 * ratio)
        guardrails.look({})
    alarms = guardrails.alarms()
    assert len(alarms) == (alarm is not None)
    assert alarm is None or alarm in alarms[0]


def test_a_canary_that_is_right_is_rarely_rolled_back() -> None:
    generator = np.random.default_rng(8)
    settings = CanarySettings(every="1s", false_alarms="2000s")  # type: ignore[arg-type]  # 2,000 looks
    alarms = 0
    for _ in range(60):
        guardrails = Guardrails(settings, Traffic(command()))
        failed = asked = slow = timed = 0
        for _ in range(200):
            asked, timed = asked + 100, timed + 50
            failed += int(generator.binomial(100, settings.max_failures))
            slow += generator.binomial(50, 0.01)
            guardrails.traffic.alerts += generator.poisson([8.0, 2.0])
            guardrails.look({"w": report(events=asked, nan=failed, timed=timed, slow=slow)})
        alarms += bool(guardrails.alarms())
    # 60 runs of a tenth of the time in which one false alarm is put up with.
    assert alarms <= 12


@pytest.mark.parametrize("why", ["nan", "error"])
def test_events_without_an_answer_are_found_over_restarts_and_workers(why: str) -> None:
    guardrails = Guardrails(CanarySettings(), Traffic(command()))
    guardrails.look({"a": report(events=1_000), "b": report(events=1_000)})
    assert not guardrails.alarms()
    guardrails.look({"a": report(events=1_200, **{why: 30}), "b": report(begun=2, events=100)})
    assert "an error, or no number" in guardrails.alarms()[0]
    assert "(30 of 2,300)" in guardrails.alarms()[0]


def test_a_slow_canary_is_found() -> None:
    guardrails = Guardrails(CanarySettings(), Traffic(command()))
    guardrails.look({"a": report(events=1_000, timed=1_000, slow=10)})
    assert not guardrails.alarms()
    guardrails.look({"a": report(events=2_000, timed=2_000, slow=200)})
    assert "longer than the champion's" in guardrails.alarms()[0]


def test_one_that_a_scorer_has_stopped_is_told_and_reports_of_others_say_nothing() -> None:
    traffic = Traffic(command())
    assert stopped({"a": report(), "b": report(state="opening")}, traffic) is None
    assert stopped({"a": report(), "b": report(state="stopped")}, traffic) == (
        "scorer b stopped it: why"
    )
    assert "can't open it" in (stopped({"b": report(state="refused")}, traffic) or "")
    assert stopped({"b": report(state="stopped", model="c" * 64)}, traffic) is None


def test_where_the_canary_has_all_keys_nothing_is_compared_with_the_champion() -> None:
    guardrails = Guardrails(CanarySettings(), Traffic(command(1.0)))
    guardrails.traffic.take(0, table(range(50), [1] * 50, [1] * 50, share=1.0))
    guardrails.look({"a": report(events=50)})
    assert not guardrails.alarms()
    assert not guardrails.split_is_broken()
    assert {each.name for each in guardrails.detectors} == {"failures", "latency"}


def test_a_forged_report_that_counts_backwards_or_too_much_breaks_nothing() -> None:
    guardrails = Guardrails(CanarySettings(), Traffic(command()))
    guardrails.look({"a": report(events=100, nan=10**12)})
    guardrails.look({"a": report(events=5, nan=0)})
    guardrails.look({"a": report(events=200, nan=0)})
    assert np.isfinite(guardrails.detectors[0].log_s)


def test_an_event_that_comes_days_late_makes_no_step_older() -> None:
    traffic = Traffic(command())
    late = table([1], arms_of([1]), [0], first_ms=START - 3 * 86_400_000, late=True)
    traffic.take(0, late)
    assert traffic.lasted == 0
    keys = list(range(60))
    traffic.take(0, table(keys, arms_of(keys), [0] * 60))
    traffic.take(0, late)
    assert traffic.lasted == 59_000


@pytest.mark.parametrize(
    ("keys", "alerts", "in_band"),
    [
        ((800, 200), (40, 10), True),
        ((800, 200), (40, 25), False),
        ((800, 20), (40, 4), True),  # too few to tell
        ((800, 200), (40, 2), False),
        ((800, 20), (40, 0), True),
        ((800, 200), (0, 0), True),
        ((800, 0), (40, 0), None),
    ],
)
def test_whether_alerts_lie_in_the_band(
    keys: tuple[int, int], alerts: tuple[int, int], in_band: bool | None
) -> None:
    guardrails = Guardrails(CanarySettings(), Traffic(command()))
    guardrails.traffic.keys[:], guardrails.traffic.alerts[:] = keys, alerts
    assert guardrails.alerts_in_band() is in_band
