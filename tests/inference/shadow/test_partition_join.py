"""Where shadow scores and labels meet: what counts, when, and what it was by then."""

from typing import Any

import numpy as np
import pytest
from joined import COSTS, DAY, SETTINGS, START, Joined, Labels, label_rows, score, scores_of
from test_comparison import stream

from inference.shadow.comparison.report import as_dict
from inference.shadow.comparison.rows import Between, NothingToCompareError
from inference.shadow.event_hash import id_hashes, partitions_of_ids
from inference.shadow.joining.gathering import gather
from inference.shadow.joining.partition_join import LAYOUT, PartitionJoin
from inference.shadow.shadow_record import CandidateScore
from streams.loop.stateless.keyed_state import PartitionState

YES = "approve"


def test_an_event_counts_at_its_age_with_what_was_known_then() -> None:
    times = [START, START + DAY, START + 2 * DAY, START + 9 * DAY, START + 12 * DAY]
    scores = scores_of([0] * 5, [2] * 5, times, [0, 0, 1, 1, 0])
    labels: Labels = {
        0: [(START + DAY, 1)],
        1: [(START + 2 * DAY, 0), (START + 6 * DAY, 1), (START + 20 * DAY, 0)],
        2: [(START + 10 * DAY, 1)],  # too late: at its age it was taken for legitimate
        3: [(START + 9 * DAY, 1)],  # early, and the event is young
    }
    found = Joined(maturity=7 * DAY).take(scores, labels).gathered()
    assert found.watermark == START + 9 * DAY, "the least that all partitions have reached"
    tally = found.tally
    assert (tally.mature, tally.frauds.events, tally.legitimate.events) == (3, 2, 1)
    assert (tally.unlabelled, tally.corrected) == (1, 2)
    assert found.waiting.tolist() == times[3:]
    left_out = SETTINGS.but(unlabelled="left_out")
    left = Joined(left_out, 7 * DAY).take(scores, labels).gathered().tally
    assert (left.mature, left.unlabelled, left.legitimate.events) == (2, 1, 0)
    behind = Joined(maturity=7 * DAY).take(scores, labels, START + 8 * DAY).gathered()
    assert (behind.watermark, behind.tally.mature) == (START + 8 * DAY, 2)


def test_early_reports_decide_nothing() -> None:
    """Frauds are reported within days, and the candidate is the bolder one: of equal cost."""
    rng = np.random.default_rng(5)
    count = 6_000
    fraud = rng.random(count) < 0.2
    times = [START + each * DAY // 100 for each in range(count)]
    labels = {
        int(row): [(times[row] + int(rng.exponential(3) * DAY), 1)] for row in np.flatnonzero(fraud)
    }
    known = {row: said for row, said in labels.items() if said[0][0] <= times[-1]}
    young = [row for row in known if times[row] > times[-1] - 7 * DAY]
    assert len(young) > 30, "there are early reports"
    found = Joined(maturity=7 * DAY).take(scores_of([0] * count, [2] * count, times), known)
    tally = found.gathered().tally
    assert tally.mature == count - 700
    assert tally.frauds.events / tally.mature == pytest.approx(0.18, abs=0.02)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_neither_order_nor_batches_nor_restarts_change_a_bit(seed: int) -> None:
    champion, candidate, all_labels, _ = stream(3_000, 0.6)
    times = [START + each * DAY // 100 for each in range(3_000)]
    labels = {row: [(times[row] + DAY, said[0][1])] for row, said in all_labels.items()}
    scores = scores_of(champion, candidate, times)
    for each in scores[::7]:  # some of what would be declined was let through
        each.approve_through = 0.2
    settings = SETTINGS.but(slice_by=["amount"])
    whole = Joined(settings, 7 * DAY).take(scores, labels)
    rng = np.random.default_rng(seed)
    parts = Joined(settings, 7 * DAY)
    ends = sorted(rng.choice(3_000, 12, replace=False).tolist())
    for begin, end in zip([0, *ends], [*ends, 3_000], strict=True):
        # Within a batch, in any order; labels come when they become known, here once too often.
        batch = scores[begin:end]
        now = times[end - 1]
        came = {row: said for row, said in labels.items() if said[0][0] <= now + DAY}
        before = times[begin] if begin else 0
        new = {row: said for row, said in came.items() if said[0][0] > before}
        parts.take([batch[each] for each in rng.permutation(len(batch))], new)
        if rng.random() < 0.5:
            parts.restart()
    one, other = whole.compared(), parts.compared()
    assert as_dict(one) == as_dict(other)
    assert one.tally.cost == other.tally.cost


def test_partitions_add_up_to_the_whole() -> None:
    champion, candidate, labels, _ = stream(3_000, 0.6)
    scores = scores_of(champion, candidate)
    whole = Joined().take(scores, labels)
    joins, places = [], partitions_of_ids(id_hashes(list(range(3_000))), 3)
    for number in range(3):
        part = Joined()
        part.join = PartitionJoin(part.state, number, 3, part.terms)
        own = [each for each, place in zip(scores, places.tolist(), strict=True) if place == number]
        joins.append(part.take(own, labels))
    assert all(len(each.gathered().sample.first) > 500 for each in joins)
    found = gather("new", [each.state.items() for each in joins], whole.terms)
    assert found.tally.cost == whole.gathered().tally.cost
    assert found.tally.similarity == whole.gathered().tally.similarity
    for name in ("frauds", "first", "second", "weights"):
        assert (getattr(found.sample, name) == getattr(whole.gathered().sample, name)).all()


def test_labels_that_change_later_are_counted_and_change_nothing() -> None:
    joined = Joined(maturity=DAY)
    times = [START, START + 10, START + 2 * DAY]
    joined.take(scores_of([0] * 3, [2] * 3, times), {0: [(START + 5, 1)]})
    before = joined.gathered().tally
    assert (before.frauds.events, before.legitimate.events, before.corrected) == (1, 1, 0)
    later: Labels = {0: [(START + 3 * DAY, 0)], 1: [(START + 3 * DAY, 0)], 77: [(START, 1)]}
    joined.take([], later).restart().take([], {1: [(START + 4 * DAY, 1)]})
    after = joined.gathered().tally
    assert after.corrected == 2
    assert (after.frauds, after.legitimate, after.cost) == (
        before.frauds,
        before.legitimate,
        before.cost,
    )


def test_what_is_no_pair_is_counted_by_why() -> None:
    of_other = CandidateScore("old", "1", decision="review")
    strict = CandidateScore("b", "2", decision="review")
    scores = [
        score(1, candidates={"new": of_other}),
        score(2, model="another champion"),
        score(3, fallback=True),
        score(4, candidates={"new": CandidateScore("b", "1", error="it died")}),
        score(5, context={"amount": "much"}, kept=0.25, probability=None),
        score(6, candidates={}),
        score(7, decision="nonsense"),
        score(8, probability=1.5),
        score(9, arm="canary"),
        score(10, candidates={"new": strict}),
        score(1, model="straggler", event_time=START - 1),
    ]
    joined = Joined(maturity=DAY)
    with pytest.raises(NothingToCompareError, match="'new' has said nothing yet"):
        joined.gathered()
    found = joined.take(scores).gathered()
    tally = found.tally
    assert tally.between == Between("a", "b", "1")
    assert tally.left_out == {"earlier": 4, "fallback": 1, "error": 2, "arm": 1}
    assert tally.events == len(found.waiting) == 2
    assert tally.similarity.not_scored == 2
    assert tally.similarity.without_amount == 1
    assert tally.shed == pytest.approx(3 * 2**24)


@pytest.mark.parametrize(
    "other",
    [
        {"model": "c"},
        {"policy": "2", "candidates": {"new": CandidateScore("b", "2", decision="approve")}},
    ],
)
def test_evidence_begins_anew_with_another_champion_or_policy(other: dict[str, Any]) -> None:
    joined = Joined().take([score(each) for each in range(50)])
    assert joined.gathered().tally.mature == 50
    joined.take([score(each, **other) for each in range(50, 60)])
    tally = joined.gathered().tally
    assert (tally.mature, tally.events, tally.left_out) == (10, 10, {"earlier": 50})
    assert len(joined.gathered().sample.first) == (10 if "model" in other else 0)
    assert tally.between == Between(other.get("model", "a"), "b", other.get("policy", "1"))


def test_evidence_begins_anew_under_other_terms() -> None:
    joined = Joined().take([score(each) for each in range(50)])
    dearer = Joined(SETTINGS._replace(costs=None))
    with pytest.raises(NothingToCompareError, match=r"judged by other settings of \[comparison\]"):
        gather("new", [joined.state.items()], dearer.terms)
    dearer.state = joined.state
    dearer.join = PartitionJoin(dearer.state, 0, 1, dearer.terms)
    assert dearer.take([score(50)]).gathered().tally.left_out == {"earlier": 50}


def test_what_waits_under_other_terms_is_not_judged_by_these() -> None:
    joined = Joined(maturity=DAY).take([score(each) for each in range(50)])
    dearer = Joined(SETTINGS._replace(costs=COSTS.model_copy(update={"review": 90.0})), DAY)
    dearer.state = joined.state
    dearer.join = PartitionJoin(dearer.state, 0, 1, dearer.terms)
    dearer.take([score(60, candidates={}, event_time=START + 9 * DAY)])
    tally = dearer.gathered().tally
    assert (tally.mature, tally.left_out) == (0, {"earlier": 50})
    assert tally.terms == dearer.terms.digest


def test_events_of_another_count_of_partitions_are_left_out() -> None:
    """Whoever wrote them did not know yet that there are more: their labels go elsewhere."""
    state = PartitionState({})
    terms = Joined().terms
    join = PartitionJoin(state, 1, 2, terms)
    places = partitions_of_ids(id_hashes(list(range(100))), 2)
    join.arrive([score(each) for each in range(100)])
    join.write()
    tally = join.candidates["new"].tally
    assert tally is not None
    assert tally.events == (places == 1).sum()
    assert tally.left_out["elsewhere"] == (places == 0).sum()
    wider = PartitionJoin(state, 1, 4, terms)
    assert not wider.candidates
    assert [key for key, _ in state.items()] == []


def test_where_too_much_waits_equal_pairs_stand_for_others() -> None:
    settings = SETTINGS.but(max_waiting=1_000)
    count = 6_000
    champion = np.zeros(count, np.int64)
    candidate = np.where(np.arange(count) % 20 == 0, 2, 0)
    times = [START + each for each in range(count)]
    joined = Joined(settings, DAY)
    for begin in range(0, count, 100):
        joined.take(scores_of(champion, candidate, times)[begin : begin + 100])
        assert len(joined.join.candidates["new"].waiting) <= 1_000
    waiting = joined.gathered()
    assert waiting.waiting_weights.sum() == pytest.approx(count, rel=0.1)
    assert waiting.waiting_weights.max() == 16
    assert (waiting.waiting_weights == 1).sum() == 300, "those that differ are all there"
    tally = joined.take([score(1, event_time=START + 3 * DAY)]).gathered().tally
    assert tally.cost.discordant == 300
    assert tally.legitimate.events == tally.mature == waiting.waiting_weights.sum()
    assert tally.cost.events == tally.mature
    assert tally.cost.estimate.least.total == -300 * 20 * 2**24


def test_where_nearly_all_decisions_differ_no_more_wait_than_may() -> None:
    joined = Joined(SETTINGS.but(max_waiting=1_000), DAY)
    scores = scores_of([0] * 6_000, [2] * 6_000, [START + each for each in range(6_000)])
    for begin in range(0, 6_000, 100):
        joined.take(scores[begin : begin + 100])
        assert len(joined.join.candidates["new"].waiting) <= 1_100
    assert joined.gathered().tally.left_out == {"full": 4_900}
    later = [score(each, event_time=START + 3 * DAY) for each in range(6_000, 6_002)]
    tally = joined.take(later[:1]).take(later[1:]).gathered().tally
    assert tally.cost.discordant == tally.mature == 1_100
    assert tally.left_out == {"full": 4_901}, "once those have gone, there is room again"


def test_a_sample_that_grows_too_large_is_halved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inference.shadow.joining.candidate_join._MOST_SAMPLED", 500)
    champion, candidate, labels, fraud = stream(6_000, 0.6)
    joined = Joined().take(scores_of(champion, candidate), labels)
    found, tally = joined.gathered(), joined.join.candidates["new"].tally
    assert tally is not None
    assert tally.doublings[0] >= 3
    assert (found.sample.frauds.sum(), (~found.sample.frauds).sum()) <= (500, 500)
    total = found.sample.weights.sum()
    assert total == pytest.approx(6_000, rel=0.2)
    assert found.sample.weights[found.sample.frauds].sum() == pytest.approx(fraud.sum(), rel=0.2)
    compared = joined.compared()
    assert compared.auc is not None
    assert compared.calibration is not None
    assert compared.card_precision is None, "of a sample nobody knows a day's first cards"


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_a_sample_is_of_all_events_of_its_partition(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hash that chooses the partition of an event chooses whether it is in the sample, too."""
    monkeypatch.setattr("inference.shadow.joining.candidate_join._MOST_SAMPLED", 500)
    places = partitions_of_ids(id_hashes(list(range(12_000))), 4)
    own = [
        each
        for each, place in zip(scores_of([0] * 12_000, [2] * 12_000), places.tolist(), strict=True)
        if place == number
    ]
    part = Joined()
    part.join = PartitionJoin(part.state, number, 4, part.terms)
    sample = part.take(own).gathered().sample
    assert len(sample.first) > 250
    assert sample.weights.sum() == pytest.approx(len(own), rel=0.2)


def test_what_has_said_nothing_for_months_is_forgotten() -> None:
    joined = Joined(maturity=DAY).take([score(each) for each in range(3)])
    joined.take([score(9, candidates={}, event_time=START + 100 * DAY)])
    assert not joined.join.candidates
    assert [key for key, _ in joined.state.items()] == [b"p"]
    with pytest.raises(NothingToCompareError):
        joined.gathered()


def test_events_whose_labels_are_forgotten_are_left_out() -> None:
    """A shadow that starts on a backlog may come to one partition of it long before another."""
    count, per_day = 2_000, 50
    times = [START + each * DAY // per_day for each in range(count)]
    labels: Labels = {count + each: [(times[each] + 1_000, 1)] for each in range(count)}
    scores = scores_of([0] * 2 * count, [2] * 2 * count, times * 2, [0] * count + [1] * count)
    joined = Joined(maturity=7 * DAY).take(scores[:count], labels).restart().take(scores[count:])
    tally = joined.gathered().tally
    waiting = 7 * per_day - 1
    assert tally.legitimate.events == count - waiting - 1
    assert tally.frauds.events == per_day, "of the day by which clocks may differ"
    assert tally.left_out == {"late": count - 8 * per_day}


def test_a_topic_of_labels_that_was_made_anew_is_heard_from_its_beginning() -> None:
    joined = Joined(maturity=DAY)
    none = label_rows({})
    joined.join.hear(none, {0: 70, 1: 500, 2: 90}, {1: START, 2: START, 0: START + 9 * DAY})
    joined.join.labels_stand({0: 70, 1: 500, 2: 91, 3: 0})
    assert joined.join.progress.labels == {0: 70, 1: 500, 2: 90}
    joined.join.labels_stand({0: 75, 1: 3})
    assert joined.join.progress.labels == {0: 70}, "the others are read from the first one"
    times = [START, START + 5 * DAY]
    tally = joined.take(scores_of([0, 0], [2, 2], times)).gathered().tally
    assert tally.mature == 1, "nor does it wait for what partitions that are gone have said"


def test_a_label_of_the_far_future_keeps_no_others() -> None:
    joined = Joined(maturity=DAY)
    labels: Labels = {each: [(START + each, 0)] for each in range(3_000)}
    far: Labels = {each: [(START + 9_999 * DAY, 0)] for each in range(0, 3_000, 500)}
    joined.take([score(1)], labels | far)
    assert len(joined.join.labels) == 3_000
    joined.take([score(2, event_time=START + 9 * DAY)])
    assert len(joined.join.labels) == len(far)
    assert len(joined.restart().join.labels) == len(far)


def test_labels_of_events_that_were_judged_are_kept_no_more() -> None:
    joined = Joined(maturity=DAY)
    labels: Labels = {each: [(START + each, each % 2)] for each in range(3_000)}
    joined.take([score(1)], labels)
    assert len(joined.join.labels) == 3_000
    joined.take([score(2, event_time=START + 9 * DAY)])
    assert len(joined.join.labels) == 0
    joined.take([score(3, event_time=START + 9 * DAY)], labels)
    assert len(joined.join.labels) == 0, "they come too late for anything"


def test_a_state_that_can_not_be_read_begins_anew() -> None:
    for key, value in ((b"w/new/0", b"short"), (b"t/new", b"{"), (b"p", b"noise")):
        joined = Joined(maturity=DAY).take([score(1)])
        joined.state.put(key, value)
        tally = joined.restart().take([score(2)]).gathered().tally
        assert tally.events == 1
    joined = Joined(maturity=DAY).take([score(1)])
    older = dict(joined.state.items())
    older[b"p"] = older[b"p"].replace(LAYOUT.encode(), b"older")
    with pytest.raises(NothingToCompareError, match="has said nothing yet"):
        gather("new", [older], joined.terms)
    older[b"p"] = b"noise"
    with pytest.raises(NothingToCompareError, match="is not as Weir writes it"):
        gather("new", [older], joined.terms)
