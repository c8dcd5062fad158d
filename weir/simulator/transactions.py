"""The simulation as a whole: from settings to a table of labelled transactions."""

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from weir.simulator.fraud import add_fraud
from weir.simulator.payments import draw_payments
from weir.simulator.population import CATEGORIES, draw_customers, draw_terminals
from weir.simulator.settings import SimulatorSettings

CURRENCY = "EUR"

SCHEMA = pa.schema(
    [
        ("transaction_id", pa.int64()),
        ("time", pa.timestamp("ms", tz="UTC")),
        ("customer_id", pa.int64()),
        ("terminal_id", pa.int64()),
        ("merchant_category", pa.string()),
        ("amount", pa.float64()),
        ("currency", pa.string()),
        ("is_fraud", pa.int8()),
        ("fraud_pattern", pa.int8()),
    ]
)
"""Columns of a simulated table; ``fraud_pattern`` is a `FraudPattern`."""


def simulate(settings: SimulatorSettings, rng: np.random.Generator | None = None) -> pa.Table:
    """Simulate card transactions, sorted by (time, transaction_id), with `SCHEMA`.

    ``transaction_id`` counts from 0 in that order; ``amount`` is in EUR with two decimals. The
    same settings and the same state of ``rng`` give the same table.

    Args:
        settings: the size of the world and its fraud.
        rng: the source of chance; by default a new one from ``settings.seed``.
    """
    if rng is None:
        rng = np.random.default_rng(settings.seed)
    terminals = draw_terminals(settings, rng)
    customers = draw_customers(settings, terminals, rng)
    genuine = draw_payments(settings, customers, terminals, rng)
    payments, pattern = add_fraud(settings, genuine, settings.customers, terminals, rng)

    order = np.argsort(payments.time_ms, kind="stable")
    terminal = payments.terminal[order]
    start = datetime(settings.start.year, settings.start.month, settings.start.day, tzinfo=UTC)
    time_ms = round(start.timestamp() * 1000) + payments.time_ms[order]
    names = pa.array([category.name for category in CATEGORIES])
    category = pa.DictionaryArray.from_arrays(pa.array(terminals.category[terminal]), names)
    pattern = pattern[order]
    return pa.table(
        [
            pa.array(np.arange(len(order))),
            pa.array(time_ms).cast(SCHEMA.field("time").type),
            pa.array(payments.customer[order]),
            pa.array(terminal),
            category.cast(pa.string()),
            pa.array(payments.amount[order]),
            pa.repeat(CURRENCY, len(order)),
            pa.array((pattern != 0).astype(np.int8)),
            pa.array(pattern),
        ],
        schema=SCHEMA,
    )
