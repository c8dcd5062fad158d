"""A loss of performance as an episode: said once, whoever is killed when, until it is over."""

from functools import cache

import numpy as np
import pytest
from cohort_world import FIRST, TERMS, cohort_of, day_of
from monitored import Drift, Record
from msgspec.structs import replace

from monitoring.counting.cell_counts import DECODE, ENCODE, CohortDays, DayCohort, EpisodeAct
from monitoring.episodes.episode import Episode
from monitoring.losses.loss_watch import LossWatch
from monitoring.performance.cohorts.cohort import DAY, Cohort, cohort_bytes, terms_of
from monitoring.performance.watch import WatchTerms

QUIET, WORSE, AGAIN = 30, 15, 30
MATURITY = TERMS.maturity // DAY
MODEL = "aaaaaaaaaaaa"


@cache
def cohorts(new: float, odds: float, again: int = AGAIN) -> list[tuple[Cohort, Cohort]]:
    """Days, each of two partitions, of which some in the middle are worse."""
    rng = np.random.default_rng(1)
    found = []
    for day in range(QUIET + WORSE + again):
        worse = QUIET <= day < QUIET + WORSE
        parts = [
            cohort_of(
                day_of(rng, 1_000, day=FIRST + day, new=new * worse, odds=1 + (odds - 1) * worse)
            )
            for _ in range(2)
        ]
        found.append((parts[0], parts[1]))
    return found


def told(days: list[tuple[Cohort, Cohort]], model: str = MODEL, terms: str = "") -> list[Record]:
    """What two partitions say of these days: of one that is over, and of one that is mature."""
    records = []
    for day in range(len(days) + MATURITY):
        for partition in (0, 1):
            parts = [
                DayCohort(
                    FIRST + each,
                    model,
                    "",
                    terms or terms_of(TERMS),
                    mature,
                    cohort_bytes(days[each][partition]),
                )
                for each, mature in ((day, False), (day - MATURITY, True))
                if 0 <= each < len(days)
            ]
            over, mature = FIRST + day + 1, FIRST + max(day + 1 - MATURITY, 0)
            records.append(Record(ENCODE(CohortDays(partition, over, mature, parts))))
    return records


def test_a_loss_is_said_once_and_so_is_its_end() -> None:
    drift = Drift()
    drift.holding = {0, 1}
    for record in told(cohorts(0.7, 1.0)):
        drift.take([record])
    assert len({each.id for each in drift.said}) == 1
    first, last = drift.said[0], drift.said[-1]
    assert (first.kind, first.severity, first.retraining) == ("performance_loss", "page", "asked")
    changed = (FIRST + QUIET) * DAY
    assert abs(first.began - changed) <= 5 * DAY
    assert changed + TERMS.maturity < first.found <= changed + TERMS.maturity + 10 * DAY
    assert "recall" in {each.name for each in last.figures}
    assert all(each.evidence >= 6 for each in last.figures)
    assert (last.state, last.away) == ("closed", [])
    assert first.found < (last.ended or 0)
    assert "recall: 0." in first.words or "average precision: 0." in first.words
    assert len(drift.said) <= 2 + 2 * len(last.figures)
    assert drift.alarms() == 1


@pytest.mark.parametrize(
    ("model", "ended", "found"),
    [("all", 1, False), (MODEL, 1, False), (MODEL, None, False), ("b" * 12, 1, True)],
)
def test_days_of_broken_data_say_nothing_of_the_model(
    model: str, ended: int | None, found: bool
) -> None:
    drift = Drift()
    began, over = (FIRST + QUIET) * DAY + 5, (FIRST + QUIET + WORSE) * DAY
    broken = Episode(
        "units", model, "data_breakage", "page", "open", began, began, [], ended and over
    )
    watch = LossWatch(drift.state.of(0), TERMS, WatchTerms())
    watch.note([broken])
    watch.write()
    watch = LossWatch(drift.state.of(0), TERMS, WatchTerms())
    said = []
    for record in told(cohorts(0.7, 1.0)):
        days = DECODE(record.value() or b"")
        assert isinstance(days, CohortDays)
        said += watch.take(days, {0, 1}, set())
    assert bool(said) == found


def test_what_is_found_does_not_depend_on_batches_and_kills() -> None:
    records = told(cohorts(0.7, 1.0))
    steady = Drift()
    for each in records:
        steady.take([each])
    killed = Drift()
    killed.take_and_be_killed(records, seed=2, most=12, chance=0.3)
    assert len(steady.said) > 1
    assert {each.id: each for each in killed.said} == {each.id: each for each in steady.said}
    assert dict(killed.state.of(0).items()) == dict(steady.state.of(0).items())


def test_a_model_that_does_as_well_as_ever_is_not_called_worse() -> None:
    drift = Drift()
    drift.take(told(cohorts(0.0, 1.0)))
    assert drift.said == []


def riskier() -> list[tuple[Cohort, Cohort]]:
    """Days on which more events look as if they might be fraud, and are, just below the bound."""
    rng = np.random.default_rng(4)
    found = []
    for day in range(QUIET + WORSE):
        parts = []
        for _ in range(2):
            rows, frauds = day_of(rng, 1_000, day=FIRST + day)
            if day >= QUIET:
                some = rng.random(len(rows)) < 0.3
                rows["probability"][some] = 0.045
                rows["decision"][some] = 0
                frauds[some] = rng.random(int(some.sum())) < 0.045
            parts.append(cohort_of(type(day_of(rng, 1))(rows, frauds)))
        found.append((parts[0], parts[1]))
    return found


def test_estimates_tell_before_labels_come() -> None:
    drift = Drift()
    for record in told(riskier()):
        drift.take([record])
    first = drift.said[0]
    changed = (FIRST + QUIET) * DAY
    assert {each.name for each in first.figures} <= {"estimated_recall", "estimated_cost"}
    assert changed < first.found < changed + TERMS.maturity
    assert "estimated recall" in first.words or "estimated cost" in first.words
    assert {"recall", "estimated_recall"} <= {each.name for each in drift.said[-1].figures}


def test_estimates_that_are_not_to_be_trusted_say_nothing() -> None:
    """Labels say that fraud has three times the odds since day 10; from day 30 on recall falls."""
    rng = np.random.default_rng(9)
    calm, changed = cohorts(0.0, 1.0), riskier()[QUIET:]
    off = [
        (cohort_of(day_of(rng, 1_000, day=FIRST + day, odds=3.0)), calm[day][1])
        for day in range(10, QUIET)
    ]
    until = 2 * (QUIET + MATURITY)
    for days, said in ((calm[10:QUIET], True), (off, False)):
        drift = Drift()
        drift.take(told([*calm[:10], *days, *changed])[:until])
        names = {figure.name for each in drift.said for figure in each.figures}
        assert any(each.startswith("estimated") for each in names) == said


def test_a_model_that_answers_no_more_needs_no_training() -> None:
    drift = Drift()
    worse = cohorts(0.7, 1.0)[: QUIET + WORSE]
    records = told(worse)
    drift.take(records)
    assert drift.said[-1].state == "open"
    successor = CohortDays(
        0,
        FIRST + QUIET + WORSE + 20,
        FIRST + QUIET + WORSE,
        [
            DayCohort(
                FIRST + QUIET + WORSE + 18,
                "bbbbbbbbbbbb",
                "",
                terms_of(TERMS),
                False,
                cohort_bytes(worse[0][0]),
            )
        ],
    )
    drift.take([Record(ENCODE(successor))])
    assert drift.said[-1].state == "closed"
    assert drift.said[-1].ended == (FIRST + QUIET + WORSE + 19) * DAY


def test_a_partition_that_is_silent_holds_up_a_day_and_one_that_is_not_there_all() -> None:
    records = told(cohorts(0.7, 1.0))
    only = [each for each in records if b"\xa9partition\x00" in each.data]
    drift = Drift()
    drift.holding = {0, 1}
    drift.take(only)
    assert drift.said == [], "partition 1 has told nothing yet"
    drift = Drift()
    drift.take(records[: 2 * QUIET])
    drift.take([each for each in records[2 * QUIET :] if each in only])
    assert len({each.id for each in drift.said}) == 1


def test_days_of_other_terms_are_left_out() -> None:
    drift = Drift()
    drift.take(told(cohorts(0.7, 1.0), terms="others"))
    assert drift.said == []


def test_people_have_their_say() -> None:
    drift = Drift()
    records = told(cohorts(0.7, 1.0))
    while not drift.said:
        drift.take([records.pop(0)])
    episode = drift.said[-1]

    def say(deed: str) -> Episode:
        act = EpisodeAct(episode.id, deed, "ada", "why", episode.found)  # type: ignore[arg-type]
        drift.take([Record(ENCODE(act))])
        return drift.said[-1]

    acknowledged = say("acknowledge")
    assert acknowledged == replace(episode, acts=acknowledged.acts, acknowledged_by="ada")
    drift.start()
    assert say("close").state == "closed"
    drift.take(records)
    assert len({each.id for each in drift.said}) == 2, "what is still worse begins a new one"


@pytest.mark.parametrize("data", [b"", b"{}", b'{"answered": 3}'])
def test_what_is_no_cohort_becomes_a_dead_letter(data: bytes) -> None:
    drift = Drift()
    part = DayCohort(FIRST, MODEL, "", terms_of(TERMS), True, data)
    before = dict(drift.state.of(0).items())
    drift.take([Record(ENCODE(CohortDays(0, FIRST + 9, FIRST + 1, [part])))])
    assert drift.letters == (data != b"{}")
    assert drift.said == []
    assert before == {}
