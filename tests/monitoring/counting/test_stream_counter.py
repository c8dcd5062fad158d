"""What is counted of the stream itself, and what is remembered of keys meanwhile."""

import numpy as np
from monitored import BOUND, T0, Record, records, rows

from monitoring.counting.cell_counts import DECODE, StreamCounts
from monitoring.counting.stream_counter import StreamCounter
from streams.feature_log import read_feature_log

RNG = np.random.default_rng(11)
KEYS = [f"card {place}" for place in range(400)]


class Stage:
    """A counter, whose transactions may be taken back."""

    def __init__(self) -> None:
        self.version = 0
        self.counter = StreamCounter(
            60_000, ("amount",), {"amount": (BOUND,)}, lambda partition: self.version
        )

    def counts(self, messages: list[Record], producers: int = 0) -> list[StreamCounts]:
        for each in messages:
            table = read_feature_log(each.value())
            names = [f"4.{place % producers}" for place in range(len(table))] if producers else []
            self.counter.take(each, table, names)  # type: ignore[arg-type]
        found = [DECODE(each) for each in self.counter.records()]
        return [each for each in found if isinstance(each, StreamCounts)]


def test_events_and_producers_add_up() -> None:
    found = Stage().counts(records(rows(RNG, 500), keys=KEYS), producers=3)
    assert sum(each.events for each in found) == 500
    assert {name for each in found for name in each.producers} == {"4.0", "4.1", "4.2"}
    assert sum(sum(each.producers.values()) for each in found) == 500
    assert min(each.start for each in found) == T0


def test_keys_count_once_a_minute_beside_a_bound() -> None:
    values = rows(RNG, 600)
    values[:, 0] = 20
    values[::2, 0] = BOUND - 1
    values[1::4, 0] = BOUND + 1
    name = f"amount < {BOUND:g}"
    each_once = Stage().counts(records(values, keys=KEYS))
    assert sum(each.bounds[name][0] for each in each_once) == 300
    assert sum(each.bounds[name][1] for each in each_once) == 150
    of_one = Stage().counts(records(values, keys=["k"]))
    assert sum(sum(each.bounds.get(name, ())) for each in of_one) == 60


def test_the_bounds_of_the_policy_stand_in_the_records() -> None:
    table = read_feature_log(records(rows(RNG, 100), keys=KEYS)[0].value())
    chances = table["probability"].to_numpy()
    bound = float(np.median(chances))
    metadata = {**(table.schema.metadata or {}), b"weir.review": repr(bound).encode()}
    counter = Stage().counter
    table = table.replace_schema_metadata(metadata)
    counter.take(Record(b""), table, [])  # type: ignore[arg-type]
    (name,) = {
        name for each in counter.records() for name in DECODE(each).bounds if "answer" in name
    }  # type: ignore[union-attr]
    assert name == f"answer:probability < {bound:g}"


def _probing(count: int) -> list[Record]:
    """Every fourth event is of one card, whose amounts hardly differ."""
    values = rows(RNG, count)
    values[::4, 0] = 100 + RNG.uniform(0, 5, len(values[::4]))
    keys = ["thief" if not place % 4 else KEYS[place % 40] for place in range(count)]
    return records(values, keys=keys)


def test_a_key_that_tries_variations_is_named_by_a_place() -> None:
    tried = [each for counts in Stage().counts(_probing(400)) for each in counts.tried]
    assert len({each.place for each in tried}) == 1
    assert tried[-1].place.startswith("0/")
    assert int(tried[-1].place[2:]) % 4 == 0
    assert tried[-1].near >= 0.9 * tried[-1].pairs
    quiet = Stage().counts(records(rows(RNG, 4_000), keys=KEYS))
    assert not [each for counts in quiet for each in counts.tried]


def test_what_was_taken_back_is_not_counted_twice() -> None:
    stage, messages = Stage(), _probing(160)
    stage.counts(messages)
    stage.version += 1
    again = stage.counts(messages)
    assert again == Stage().counts(messages)


def test_a_rest_is_said_once_in_ten_seconds() -> None:
    counter = Stage().counter
    (said,) = (DECODE(each) for each in counter.at_rest(T0 + 15_000))
    assert isinstance(said, StreamCounts)
    assert (said.logged, said.events) == (T0 + 10_000, 0)
    assert counter.at_rest(T0 + 19_999) == []
    assert len(counter.at_rest(T0 + 20_000)) == 1
