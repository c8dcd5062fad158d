"""The simulated world before anything happens in it: terminals and customers."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from weir.simulator.settings import SimulatorSettings


class Category(NamedTuple):
    """A kind of merchant: its share of terminals, how often it is visited, how dear it is."""

    name: str
    share: float
    visits: float
    price: float
    online: bool


CATEGORIES = (
    Category("grocery", 0.22, 3.0, 0.9, False),
    Category("restaurant", 0.20, 1.5, 0.7, False),
    Category("fuel", 0.08, 1.5, 1.2, False),
    Category("fashion", 0.14, 0.8, 1.5, False),
    Category("electronics", 0.06, 0.4, 4.0, False),
    Category("health", 0.10, 0.8, 0.8, False),
    Category("travel", 0.04, 0.3, 6.0, False),
    Category("e-commerce", 0.12, 1.5, 1.2, True),
    # Genuine payments of a euro or two: without them every tiny payment would be a card test.
    Category("digital goods", 0.04, 1.5, 0.08, True),
)

ONLINE_FAVOURITES = 6
_SIDE_KM = 100.0
"""Side of the square in which customers live and terminals stand."""


@dataclass(frozen=True)
class Terminals:
    """Terminals by column, each of shape (terminals,)."""

    place: NDArray[np.float64]
    """Kilometres, shape (terminals, 2); of no meaning for online ones."""
    category: NDArray[np.int64]
    """Index in `CATEGORIES`."""
    price: NDArray[np.float64]
    """Typical amount relative to what a customer pays on average."""
    popularity: NDArray[np.float64]
    """Relative chance of a visit among terminals within reach."""

    @property
    def online(self) -> NDArray[np.bool_]:
        """Whether a terminal sells on the internet, to customers anywhere."""
        return np.array([category.online for category in CATEGORIES])[self.category]


@dataclass(frozen=True)
class Customers:
    """Customers by column, each of shape (customers,) unless it says otherwise."""

    amount: NDArray[np.float64]
    """Mean amount at a terminal of price 1, EUR."""
    spread: NDArray[np.float64]
    """Standard deviation of the logarithm of amounts."""
    rate: NDArray[np.float64]
    """Transactions a day."""
    peaks: NDArray[np.float64]
    """Two favourite hours of the day, shape (customers, 2)."""
    first_peak: NDArray[np.float64]
    """Share of transactions around the first of them."""
    peak_width: NDArray[np.float64]
    """Standard deviation of the hour around a peak, hours."""
    reach: NDArray[np.int64]
    """Terminals that a customer uses, shape (customers, reachable)."""
    preference: NDArray[np.float64]
    """Probability of each of them, rows sum to 1, shape (customers, reachable)."""


def draw_terminals(settings: SimulatorSettings, rng: np.random.Generator) -> Terminals:
    """Draw ``settings.terminals`` terminals, at least one of them online and one not."""
    n = settings.terminals
    shares = np.array([category.share for category in CATEGORIES])
    category = rng.choice(len(CATEGORIES), size=n, p=shares / shares.sum())
    names = [each.name for each in CATEGORIES]
    category[:2] = names.index("grocery"), names.index("e-commerce")
    price = np.array([each.price for each in CATEGORIES])[category]
    visits = np.array([each.visits for each in CATEGORIES])[category]
    return Terminals(
        place=rng.uniform(0, _SIDE_KM, (n, 2)),
        category=category,
        price=price * rng.lognormal(0, 0.3, n),
        popularity=visits * rng.lognormal(0, 0.5, n),
    )


def draw_customers(
    settings: SimulatorSettings, terminals: Terminals, rng: np.random.Generator
) -> Customers:
    """Draw ``settings.customers`` customers, who use terminals near home and some online."""
    n = settings.customers
    night_owl = rng.random(n) < 0.1
    second_peak = np.where(night_owl, rng.normal(23.5, 1.0, n), rng.normal(18.5, 1.5, n))
    reach = np.hstack([_nearest(settings, terminals, rng), _favourites(n, terminals, rng)])
    preference = terminals.popularity[reach]
    return Customers(
        amount=rng.lognormal(np.log(35.0), 0.6, n),
        spread=rng.uniform(0.3, 0.7, n),
        rate=rng.gamma(2.0, settings.transactions_per_day / 2.0, n),
        peaks=np.column_stack([rng.normal(12.0, 1.5, n), second_peak]),
        first_peak=rng.uniform(0.2, 0.8, n),
        peak_width=rng.uniform(1.0, 3.0, n),
        reach=reach,
        preference=preference / preference.sum(axis=1, keepdims=True),
    )


def _nearest(
    settings: SimulatorSettings, terminals: Terminals, rng: np.random.Generator
) -> NDArray[np.int64]:
    """The nearest terminals that are not online, shape (customers, up to nearby_terminals)."""
    offline = np.flatnonzero(~terminals.online)
    homes = rng.uniform(0, _SIDE_KM, (settings.customers, 2))
    k = min(settings.nearby_terminals, len(offline))
    # Imported when needed: scikit-learn takes seconds, and every command would pay them.
    from sklearn.neighbors import KDTree

    tree = KDTree(terminals.place[offline])
    nearest: NDArray[np.int64] = offline[tree.query(homes, k=k, return_distance=False)]
    return nearest


def _favourites(
    customers: int, terminals: Terminals, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Online terminals of each customer, popular ones more often, shape (customers, 6)."""
    online = np.flatnonzero(terminals.online)
    weights = terminals.popularity[online]
    return rng.choice(online, size=(customers, ONLINE_FAVOURITES), p=weights / weights.sum())
