from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from weir.simulator import CURRENCY, SCHEMA, FraudPattern, SimulatorSettings, simulate

DAY_MS = 86_400_000


def column(table: pa.Table, name: str) -> np.ndarray:
    values = table[name]
    return (values.cast(pa.int64()) if name == "time" else values).to_numpy()


@pytest.fixture(scope="module")
def world() -> pa.Table:
    return simulate(SimulatorSettings.for_events(200_000, days=60, seed=7))


@settings(deadline=None, max_examples=25)
@given(
    customers=st.integers(1, 40),
    terminals=st.integers(2, 40),
    days=st.integers(1, 20),
    rate=st.floats(0.05, 5),
    seed=st.integers(0, 2**32),
)
def test_any_world_is_sorted_valid_and_repeats_itself(customers, terminals, days, rate, seed):
    world = SimulatorSettings(
        customers=customers, terminals=terminals, days=days, transactions_per_day=rate, seed=seed
    )
    table = simulate(world)

    assert table.schema == SCHEMA
    assert table.equals(simulate(world))
    assert table.equals(simulate(world, np.random.default_rng(seed)))
    assert sum(each.null_count for each in table.columns) == 0
    assert column(table, "transaction_id").tolist() == list(range(table.num_rows))
    time = column(table, "time")
    start = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1000)
    assert np.all(np.diff(time) >= 0)
    assert np.all((time >= start) & (time < start + days * DAY_MS))
    for name, size in (("customer_id", customers), ("terminal_id", terminals)):
        assert np.all((column(table, name) >= 0) & (column(table, name) < size))
    amount = column(table, "amount")
    assert np.all(amount >= 0.01)
    assert np.array_equal(amount, np.round(amount, 2))
    assert set(table["currency"].to_pylist()) <= {CURRENCY}
    assert np.array_equal(column(table, "is_fraud") == 1, column(table, "fraud_pattern") > 0)


def test_another_seed_gives_another_world():
    one = SimulatorSettings.for_events(1_000, days=10, seed=1)
    assert not simulate(one).equals(simulate(one.model_copy(update={"seed": 2})))


@pytest.mark.parametrize("events", [20, 5_000, 100_000])
def test_for_events_gives_about_that_many(events):
    rows = [
        simulate(SimulatorSettings.for_events(events, days=30, seed=seed)).num_rows
        for seed in range(5)
    ]
    assert np.mean(rows) == pytest.approx(events, rel=0.5 if events < 100 else 0.1)


def test_fraud_shares_are_the_ones_asked_for(world):
    counts = np.bincount(column(world, "fraud_pattern"), minlength=4)
    assert counts[1:] / world.num_rows == pytest.approx([0.004, 0.003, 0.002], abs=2e-5)


def test_fraud_is_spread_over_the_whole_span(world):
    day = (column(world, "time") - column(world, "time")[0]) // DAY_MS
    fraud = column(world, "is_fraud")
    weekly = [fraud[day // 10 == week].mean() for week in range(6)]
    assert min(weekly) > 0.004
    assert max(weekly) < 0.016


def test_shares_of_zero_give_no_fraud():
    clean = SimulatorSettings(
        customers=50,
        days=10,
        compromised_terminal_share=0,
        leaked_card_share=0,
        card_testing_share=0,
    )
    assert column(simulate(clean), "is_fraud").sum() == 0


def test_a_compromised_terminal_is_fraudulent_for_a_time_and_mostly(world):
    terminal, time = column(world, "terminal_id"), column(world, "time")
    bad = column(world, "fraud_pattern") == FraudPattern.COMPROMISED_TERMINAL
    shares = []
    for victim in np.unique(terminal[bad]):
        at_victim = terminal == victim
        spell = time[at_victim & bad]
        assert spell[-1] - spell[0] <= 35 * DAY_MS
        inside = at_victim & (time >= spell[0]) & (time <= spell[-1])
        if inside.sum() >= 20:
            shares.append(bad[inside].mean())
    assert len(shares) >= 10
    assert np.mean(shares) == pytest.approx(0.8, abs=0.05)


def test_a_leaked_card_pays_about_four_times_its_usual_amounts(world):
    customer, amount = column(world, "customer_id"), column(world, "amount")
    pattern, time = column(world, "fraud_pattern"), column(world, "time")
    ratios = []
    for victim in np.unique(customer[pattern == FraudPattern.LEAKED_CARD]):
        own = customer == victim
        leaked = own & (pattern == FraudPattern.LEAKED_CARD)
        assert np.ptp(time[leaked]) <= 14 * DAY_MS
        usual = np.exp(np.log(amount[own & (pattern == 0)]).mean())
        ratios.append(np.exp(np.log(amount[leaked]).mean()) / usual)
    assert 3 < np.median(ratios) < 5.5


def test_card_testing_is_many_tiny_payments_online_then_a_large_one(world):
    tests = world.filter(pc.equal(world["fraud_pattern"], int(FraudPattern.CARD_TESTING)))
    assert set(tests["merchant_category"].to_pylist()) <= {"e-commerce", "digital goods"}
    customer, time, amount = (column(tests, name) for name in ("customer_id", "time", "amount"))
    order = np.lexsort((time, customer))
    customer, time, amount = customer[order], time[order], amount[order]
    new_burst = (np.diff(customer) != 0) | (np.diff(time) > 3_600_000)
    bursts = np.split(np.arange(len(order)), np.flatnonzero(new_burst) + 1)
    # Two bursts may hit one customer within the hour, and the last one is cut short.
    whole = [burst for burst in bursts if 6 <= len(burst) <= 16]
    assert len(whole) >= 0.95 * len(bursts)
    assert len(whole) >= 20
    for burst in whole:
        assert np.all(amount[burst[:-1]] <= 2.5)
        assert time[burst[-2]] - time[burst[0]] <= 15 * 60_000
    assert np.median([amount[burst[-1]] for burst in whole]) > 100


def test_customers_keep_their_hours_places_and_amounts(world):
    genuine = world.filter(pc.equal(world["is_fraud"], 0))
    customer = column(genuine, "customer_id")
    hour = column(genuine, "time") % DAY_MS / 3_600_000
    amount, terminal = np.log(column(genuine, "amount")), column(genuine, "terminal_id")
    within = [amount[customer == each].std() for each in range(100)]
    assert np.mean(within) < amount.std()
    own = [len(np.unique(terminal[customer == each])) for each in range(100)]
    assert max(own) <= 36 < len(np.unique(terminal))
    assert np.mean(hour < 6) < 0.1


def test_the_front_of_the_time_span_is_a_setting():
    table = simulate(SimulatorSettings(customers=20, days=3, start=date(2025, 3, 30)))
    days = {each.date() for each in table["time"].to_pylist()}
    assert days == {date(2025, 3, 30), date(2025, 3, 31), date(2025, 4, 1)}


def test_a_span_that_ends_in_the_future_is_refused_with_the_last_good_start():
    today = datetime.now(UTC).date()
    with pytest.raises(ValidationError, match="choose start <= ") as refusal:
        SimulatorSettings(start=today - timedelta(days=5), days=10)
    assert str(today - timedelta(days=10)) in str(refusal.value)


def test_for_events_refuses_nothing_to_do():
    with pytest.raises(ValueError, match="events = 0"):
        SimulatorSettings.for_events(0)
