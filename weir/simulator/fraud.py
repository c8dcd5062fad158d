"""Three fraud patterns, laid over genuine payments."""

from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from weir.simulator.payments import DAY_MS, Payments, round_amount
from weir.simulator.population import Terminals
from weir.simulator.settings import SimulatorSettings

_MINUTE_MS = 60_000


class FraudPattern(IntEnum):
    """Why a transaction is fraudulent; the values of the column ``fraud_pattern``."""

    NONE = 0
    COMPROMISED_TERMINAL = 1
    LEAKED_CARD = 2
    CARD_TESTING = 3


class _Spell(NamedTuple):
    """What happens to the payments of a victim, and for how long."""

    shortest: float
    """Days."""
    longest: float
    share: float
    """Of the victim's payments, those that are fraudulent."""
    factor: tuple[float, float]
    """Mean and standard deviation of the logarithm by which the thief multiplies amounts."""


# Amounts 1.3 times the usual hardly show: what gives a terminal away is its history of fraud.
_COMPROMISED = _Spell(10.0, 35.0, share=0.8, factor=(0.25, 0.3))
_LEAKED = _Spell(3.0, 14.0, share=0.5, factor=(1.4, 0.5))

_TESTS = (5, 15)
"""Fewest and most tiny payments of a burst."""
_TEST_GAP_MS = (2_000, 60_000)
_CASH_OUT_DELAY_MS = (2 * _MINUTE_MS, 45 * _MINUTE_MS)
_BURST_MS = _TESTS[1] * _TEST_GAP_MS[1] + _CASH_OUT_DELAY_MS[1]
"""No burst lasts longer."""


def add_fraud(
    settings: SimulatorSettings,
    payments: Payments,
    customers: int,
    terminals: Terminals,
    rng: np.random.Generator,
) -> tuple[Payments, NDArray[np.int8]]:
    """Turn some payments fraudulent and append bursts of card testing.

    Returns all payments, and the `FraudPattern` of each. The number of frauds of a pattern is
    its share in the settings times all transactions, rounded; fewer only where every possible
    victim has been one.
    """
    span_ms = settings.days * DAY_MS
    tested = settings.card_testing_share
    bursts = _draw_bursts(
        round(len(payments) * tested / (1 - tested)), span_ms, customers, terminals, rng
    )
    total = len(payments) + len(bursts)
    pattern = np.zeros(len(payments), dtype=np.int8)
    amount = payments.amount.copy()
    for kind, entity, share, spell in (
        (
            FraudPattern.COMPROMISED_TERMINAL,
            payments.terminal,
            settings.compromised_terminal_share,
            _COMPROMISED,
        ),
        (FraudPattern.LEAKED_CARD, payments.customer, settings.leaked_card_share, _LEAKED),
    ):
        free = pattern == FraudPattern.NONE
        target = round(share * total)
        hit = _within_spells(entity, payments.time_ms, free, target, spell, span_ms, rng)
        pattern[hit] = kind
        amount[hit] = round_amount(amount[hit] * rng.lognormal(*spell.factor, len(hit)))

    together = Payments(
        np.concatenate([payments.time_ms, bursts.time_ms]),
        np.concatenate([payments.customer, bursts.customer]),
        np.concatenate([payments.terminal, bursts.terminal]),
        np.concatenate([amount, bursts.amount]),
    )
    testing = np.full(len(bursts), FraudPattern.CARD_TESTING, dtype=np.int8)
    return together, np.concatenate([pattern, testing])


def _within_spells(
    entity: NDArray[np.int64],
    time_ms: NDArray[np.int64],
    free: NDArray[np.bool_],
    target: int,
    spell: _Spell,
    span_ms: int,
    rng: np.random.Generator,
) -> NDArray[np.intp]:
    """Positions of ``target`` fraudulent payments, in spells of random victims.

    Victims are drawn without return until the target is met; the last spell ends early then.
    Spells may begin before the simulation, so that its first days hold as much fraud as others.
    """
    order = np.lexsort((time_ms, entity))
    order = order[free[order]]
    victims, first = np.unique(entity[order], return_index=True)
    last = np.append(first[1:], len(order))
    hits: list[NDArray[np.intp]] = []
    missing = target
    for victim in rng.permutation(len(victims)):
        if missing <= 0:
            break
        own = order[first[victim] : last[victim]]
        length = rng.uniform(spell.shortest, spell.longest) * DAY_MS
        begin = rng.uniform(-length, span_ms)
        from_, to = np.searchsorted(time_ms[own], [begin, begin + length])
        own = own[from_:to]
        hit = own[rng.random(len(own)) < spell.share][:missing]
        hits.append(hit)
        missing -= len(hit)
    return np.concatenate(hits) if hits else np.empty(0, dtype=np.intp)


def _draw_bursts(
    target: int, span_ms: int, customers: int, terminals: Terminals, rng: np.random.Generator
) -> Payments:
    """``target`` payments in bursts: tiny ones seconds apart, then a large one; all online.

    The last burst is cut where the target is met, and may then lack its large payment.
    """
    fewest, most = _TESTS
    # Enough bursts to pass the target even if all were of the shortest kind; then cut there.
    sizes = rng.integers(fewest, most + 1, size=target // (fewest + 1) + 1) + 1
    ends = np.cumsum(sizes)
    sizes = sizes[: int(np.searchsorted(ends, target)) + 1]
    burst = np.repeat(np.arange(len(sizes)), sizes)
    starts = np.cumsum(sizes) - sizes
    place = np.arange(len(burst)) - starts[burst]
    large = place == sizes[burst] - 1

    gap = np.where(
        large,
        rng.integers(*_CASH_OUT_DELAY_MS, size=len(burst), endpoint=True),
        rng.integers(*_TEST_GAP_MS, size=len(burst), endpoint=True),
    )
    begin = rng.integers(0, span_ms - _BURST_MS, size=len(sizes))
    elapsed = np.cumsum(gap)
    since_begin = elapsed - (elapsed - gap)[starts][burst]
    online = np.flatnonzero(terminals.online)
    # A tester stays with one shop; the large payment goes to another, drawn anew.
    shop = online[rng.integers(0, len(online), size=len(sizes))][burst]
    elsewhere = online[rng.integers(0, len(online), size=len(burst))]
    amount = np.where(
        large, rng.lognormal(np.log(250.0), 0.6, len(burst)), rng.uniform(0.1, 2.5, len(burst))
    )
    customer = rng.integers(0, customers, size=len(sizes))[burst]
    return Payments(
        time_ms=(begin[burst] + since_begin)[:target],
        customer=customer[:target],
        terminal=np.where(large, elsewhere, shop)[:target],
        amount=round_amount(amount)[:target],
    )
