"""Ids and values that a stranger chose with care cost no more than others, and meet nobody's."""

import os
import subprocess
import sys
from typing import Any

import msgspec
import numpy as np
import pytest
import xxhash
from numpy.typing import NDArray
from window_model import CONTRACT, Event, feed, make_plan

from streams.features import CorruptStateError, DumpMismatchError
from streams.features.entity_ids import new_slots
from streams.features.hashing import Secret
from streams.features.kernels.enums import Stat
from streams.features.kernels.id_index import EMPTY, SLOT
from streams.features.kernels.id_index import home as home_in_index
from streams.features.kernels.keyed_mix import mix
from streams.features.kernels.recent_ids import home as home_in_ring
from streams.features.kernels.scans import scan_distinct
from streams.features.recent_ids import RecentIds
from streams.features.repeat_filter import RepeatFilter, refuse_ids
from streams.features.state import FeatureState

SECRET = Secret(bytes(range(32)))
N = 6_000
COUNT = {"kind": "window", "entity": "card", "aggregate": "count", "window": "1s"}
DISTINCT = {**COUNT, "aggregate": "distinct", "field": "items"}
FRAUDS = {"kind": "label", "entity": "card", "aggregate": "count", "window": "1s", "delay": "0ms"}

COLLIDING = "a33526a9bc1dcb2a", "c6b9a966f8bd3525"
"""Two texts of one XXH3 hash without a seed, found by trying."""


def unmixed(bits: int) -> int:
    """The int64 that SplitMix64's finalizer sends to these 64 bits."""
    mask = (1 << 64) - 1

    def unshift(value: int, by: int) -> int:
        result = value
        for _ in range(64 // by):
            result = value ^ (result >> by)
        return result

    bits = unshift(bits, 31) * pow(0x94D049BB133111EB, -1, 1 << 64) & mask
    bits = unshift(bits, 27) * pow(0xBF58476D1CE4E5B9, -1, 1 << 64) & mask
    return int(np.uint64(unshift(bits, 30)).view(np.int64))


CRAFTED = {
    "one row of SplitMix64's": [unmixed(n << 25 | 2) for n in range(N)],
    "one place of its upper bits": [unmixed(n << 1 | 1) for n in range(N)],
    "neighbours": list(range(N)),
    "equal lower bits": [n << 40 for n in range(N)],
    "equal but for bits in the middle": [(n & 127) << 50 | (n >> 7) << 20 for n in range(N)],
    "all of Python's hashes one": [(n % 8 - 4) * ((1 << 61) - 1) + n // 8 for n in range(N)],
    "complements": [n // 2 if n % 2 else ~(n // 2) for n in range(N)],
    "multiples of a power of three": [n * 3**20 for n in range(N)],
}


def random_ids() -> list[int]:
    return np.random.default_rng(3).integers(-(2**62), 2**62, N).tolist()


def mean_steps(homes: list[int], places: list[int], size: int) -> float:
    """How far each stands from where the search for it begins, on average."""
    return float(np.mean((np.array(places) - np.array(homes)) % size))


def steps_in_index(table: NDArray[np.int64], secret: Secret) -> float:
    places = np.flatnonzero(table[:, SLOT] != EMPTY).tolist()
    homes = [home_in_index(table, secret.words, table[place, 0]) for place in places]
    return mean_steps(homes, places, len(table))


def steps_of_labels(ids: list[int]) -> float:
    state = FeatureState(make_plan(FRAUDS), secret=SECRET)
    feed(state, [Event(each, n // 100) for n, each in enumerate(ids)])
    return steps_in_index(state._entities[0].index, SECRET)


def steps_of_entities(ids: list[int]) -> float:
    slots: Any = new_slots(SECRET, texts=False)
    slots.find(ids)
    assert slots.taken == N
    return steps_in_index(slots._table, SECRET)


def steps_of_repeats(ids: list[int]) -> float:
    recent = RecentIds(1_000, 1_000_000, SECRET, texts=False)
    assert recent.take_in(ids, np.zeros(N, np.int64), np.arange(N)).all()
    places = np.flatnonzero(recent._table).tolist()
    keys = recent._ring[0][recent._table[places].astype(np.int64) - 1, 0]
    homes = [home_in_ring(recent._table, SECRET.words, key) for key in keys]
    return mean_steps(homes, places, recent._table.size)


def steps_of_distinct(values: list[int]) -> float:
    # Bits of a float64, as a stranger may send them in a field of its own; NaN is no value.
    numbers = np.array(values, np.int64).view(np.float64)
    numbers = numbers[~np.isnan(numbers) & (numbers != 0)]
    count = numbers.size
    size = 1 << (2 * count - 1).bit_length()
    members, found = np.zeros((size + 1, 2), np.int64), np.empty((1, len(Stat)))
    times, span = np.arange(count), np.array([count + 1])
    scan_distinct(
        times,
        numbers.reshape(1, -1),
        0,
        0,
        count,
        count,
        span,
        (0, 1),
        found,
        members,
        SECRET.words,
    )
    assert found[0, Stat.DISTINCT] == count > N // 3
    places = np.flatnonzero(members[:-1, 1])
    homes = [mix(key, SECRET.words) & (size - 1) for key in members[places, 0]]
    return mean_steps(homes, places.tolist(), size)


@pytest.mark.parametrize(
    "steps", [steps_of_labels, steps_of_entities, steps_of_repeats, steps_of_distinct]
)
def test_chosen_ids_cost_no_more_steps_than_random_ones(steps: Any) -> None:
    usual = steps(random_ids())
    for how, ids in CRAFTED.items():
        assert len(set(ids)) == N
        assert steps(ids) < 1.5 * usual + 0.1, how


def test_each_state_has_a_secret_of_its_own_and_keeps_it_in_what_it_writes_down() -> None:
    plan = make_plan(FRAUDS)
    state = FeatureState(plan)
    assert state._secret.key != FeatureState(plan)._secret.key
    loaded = FeatureState.load(plan, None, state.dump())
    assert loaded._secret.key == state._secret.key
    repeats = RepeatFilter(1_000, 1_000_000, texts=True)
    other = RepeatFilter(1_000, 1_000_000, texts=True)
    assert other._secret.key != repeats._secret.key
    other.load(repeats.dump())
    assert other._secret.key == repeats._secret.key


def test_no_feature_depends_on_the_secret() -> None:
    big = 1 << 60
    contract = CONTRACT.model_copy(
        update={"fields": CONTRACT.fields | {"id": CONTRACT.fields["card"]}}
    )
    countries = {**COUNT, "aggregate": "distinct", "field": "country"}
    shops = {**COUNT, "entity": "shop"}
    plan = make_plan(DISTINCT, countries, shops, FRAUDS, contract=contract)
    rng = np.random.default_rng(4)
    events = [
        Event(f"e{n}", n, str(n % 9), shop, items=big + int(rng.integers(9)), country=f"c{n % 7}")
        for n, shop in enumerate(rng.integers(0, 50, 3_000).tolist())
    ]
    labels = [(n, f"e{n - 40}", 1.0) for n in range(40, 3_000, 7)]
    first = FeatureState(plan, secret=SECRET)
    second = FeatureState(plan)
    assert feed(first, events, labels).tobytes() == feed(second, events, labels, [7]).tobytes()


def test_texts_that_were_searched_for_do_not_meet() -> None:
    first, second = (xxhash.xxh3_64_intdigest(text.encode()) for text in COLLIDING)
    assert first == second
    contract = CONTRACT.model_copy(
        update={"fields": CONTRACT.fields | {"id": CONTRACT.fields["card"]}}
    )
    countries = {**COUNT, "aggregate": "distinct", "field": "country"}
    mine, strange = COLLIDING
    state = FeatureState(make_plan(countries, FRAUDS, contract=contract))
    events = [Event(mine, 0, country=mine), Event("other", 1, country=strange)]
    matrix = feed(state, events, [(1, strange, 1.0)])
    assert matrix[-1].tolist() == [2, 0]
    repeats = RepeatFilter(1_000, 1_000_000, texts=True)
    assert repeats.take_in(0, list(COLLIDING), np.zeros(2, np.int64), np.arange(2)).all()


def test_texts_are_hashed_as_python_hashes_bytes() -> None:
    texts = ["", "a", "seven b", "eight by", "nine byte", "é" * 99, "x" * 300]
    code = "import sys; print(*(hash(text.encode()) for text in sys.argv[1:]))"
    said = subprocess.run(
        [sys.executable, "-c", code, *texts],
        env=os.environ | {"PYTHONHASHSEED": "0"},
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    without_key = Secret(bytes(32))
    assert without_key.hash_ids(texts)[1:].tolist() == [int(each) for each in said[1:]]
    assert len(set(without_key.hash_ids(texts).tolist())) == len(texts)


def test_what_was_written_before_there_were_secrets_is_refused_and_so_rebuilt() -> None:
    plan = make_plan(COUNT)
    header = msgspec.msgpack.decode(FeatureState(plan).dump()[0])
    del header["secret"]
    older = msgspec.msgpack.encode(header | {"layout": 1})
    with pytest.raises(DumpMismatchError, match="layout version 1, this program reads version 2"):
        FeatureState.load(plan, None, [older])
    repeats = RepeatFilter(1_000, 1_000_000, texts=False)
    header = msgspec.msgpack.decode(repeats.dump()[0])
    del header["secret"]
    older = msgspec.msgpack.encode(header | {"repeats_layout": 1})
    for read in (repeats.load, refuse_ids):
        with pytest.raises(DumpMismatchError, match="layout version 1, this program reads"):
            read([older])


def test_a_cut_secret_is_noticed() -> None:
    plan = make_plan(COUNT)
    header, *others = FeatureState(plan).dump()
    cut = msgspec.msgpack.decode(header) | {"secret": b"short"}
    with pytest.raises(CorruptStateError, match="secret"):
        FeatureState.load(plan, None, [msgspec.msgpack.encode(cut), *others])
