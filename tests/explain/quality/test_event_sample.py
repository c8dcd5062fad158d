"""A sample of a topic: the same in whatever order its events come, fair, no larger than asked."""

from collections import Counter

import numpy as np

from explain.quality.event_sample import EventSample

EVENTS = [(partition, offset) for partition in range(3) for offset in range(40)]


def sample_of(events: list[tuple[int, int]], size: int, seed: int = 0) -> EventSample:
    sample = EventSample(size, seed)
    for partition, offset in events:
        sample.add(partition, [offset], np.array([[partition, offset]], np.float32))
    return sample


def test_the_order_in_which_events_come_changes_nothing() -> None:
    expected = sample_of(EVENTS, 10)
    assert expected.rows().shape == (10, 2)
    assert [tuple(row) for row in expected.rows()] == sorted(tuple(r) for r in expected.rows())
    for seed in range(5):
        mixed = [EVENTS[i] for i in np.random.default_rng(seed).permutation(len(EVENTS))]
        again = sample_of(mixed + mixed[:20], 10)
        np.testing.assert_array_equal(again.rows(), expected.rows())
        assert again.seen == len(EVENTS) + 20


def test_few_events_are_all_there() -> None:
    assert [tuple(row) for row in sample_of(EVENTS, 500).rows()] == EVENTS
    assert sample_of([], 5).rows().size == 0


def test_each_event_is_as_likely_as_any_other() -> None:
    chosen: Counter[tuple[float, ...]] = Counter()
    for seed in range(600):
        chosen.update(tuple(row) for row in sample_of(EVENTS, 12, seed).rows().tolist())
    assert set(chosen) == {(float(p), float(o)) for p, o in EVENTS}
    mean, deviation = 60, np.sqrt(600 * 0.1 * 0.9)
    assert max(abs(count - mean) for count in chosen.values()) < 5 * deviation


def test_what_is_kept_is_no_view_of_a_whole_batch() -> None:
    rows = np.arange(20, dtype=np.float32).reshape(10, 2)
    sample = EventSample(2, 0)
    sample.add(0, range(10), rows)
    before = sample.rows()
    rows[:] = -1
    np.testing.assert_array_equal(sample.rows(), before)
    assert all(kept[3].base is None for kept in sample._heap)
