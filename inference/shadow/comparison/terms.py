"""What mature events are judged by: where it changes, evidence begins anew."""

from dataclasses import asdict, dataclass
from functools import cached_property
from hashlib import sha256
from json import dumps

from inference.policy.costs import CostSettings
from inference.shadow.comparison.settings import ComparisonSettings
from inference.shadow.statistics.costs import Costs


@dataclass(frozen=True)
class Terms:
    """As the settings say it.

    Attributes:
        maturity: the age at which an event counts, ms.
        unlabelled_count: whether one without a label counts, as legitimate.
        amount: the field that says what is at stake; None for none.
        costs: None for none.
        margin: by how much more per event a candidate may cost and still be no worse.
        slices: fields by which figures are kept apart.
        most_waiting: pairs of a candidate that wait in one partition.
    """

    maturity: int
    unlabelled_count: bool
    amount: str | None
    costs: Costs | None
    margin: float
    slices: tuple[str, ...]
    most_waiting: int

    @classmethod
    def of(cls, said: ComparisonSettings, costs: CostSettings | None, label_delay: int) -> "Terms":
        """The terms that settings say; `label_delay`, in ms, is the maturity where none is said."""
        return cls(
            label_delay if said.maturity is None else said.maturity,
            said.unlabelled == "legitimate",
            None if costs is None else costs.amount,
            None if costs is None else Costs(costs.cap, costs.friction, costs.review),
            0.0 if costs is None else costs.margin,
            tuple(said.slice_by),
            said.max_waiting,
        )

    @cached_property
    def digest(self) -> str:
        """Of what evidence depends on; not of `most_waiting`, which only makes it less."""
        said = asdict(self)
        del said["most_waiting"]
        return sha256(dumps(said, sort_keys=True).encode()).hexdigest()[:12]
