"""Which perturbed events explain any event of a package, and the operator that reads them.

LIME (Ribeiro et al., KDD 2016) asks the model about events near the one to explain, and fits a
linear model to its answers. Here the perturbed events of a package are drawn once: a sample keeps
some groups of features as the event has them, and takes the others from a row of the package's
background. So nothing impossible is asked: every value is one that an event had, counts are whole
numbers, and the features of a group come from one row. The linear model is in "kept" (1) and
"replaced" (0); since the samples are fixed, so are their weights and the least-squares solution,
and explaining is one product of a constant matrix with the model's answers.

Which groups are kept is a two-level design: columns of a Hadamard matrix with random signs, and
their complements with the same background rows. So main effects are free of all products of two
(Box and Wilson, "On the experimental attainment of optimum conditions", 1951, fold-over). What the
drawn background rows happen to hold is taken out by regressors of their own: control variates.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import hadamard  # type: ignore[import-untyped]
from scipy.stats import rankdata  # type: ignore[import-untyped]

from explain.errors import ExplainError
from explain.settings import ExplainSettings
from inference.package import ModelPackage

_STEPS = (0.25, 0.75, 0.9)
"""Quantiles of a background column at which a control variate steps, as trees do."""

_SHRINKAGE = 1e-3
"""Ridge of the control variates, times the sum of the weights; effects of groups have none."""

_FARTHEST = 3.0


@dataclass(frozen=True)
class Groups:
    """Features that are kept or replaced together.

    Attributes:
        names: of the g groups.
        features: of each, its features.
        of_column: int64 (k,), the group of each of the package's columns.
    """

    names: tuple[str, ...]
    features: tuple[tuple[str, ...], ...]
    of_column: NDArray[np.int64]

    @classmethod
    def of(cls, columns: Sequence[str], declared: Mapping[str, Sequence[str]]) -> "Groups":
        """Return the declared groups, in their order of columns, and each other column as its own.

        A feature that the package does not read is left out: groups are declared for the plan's
        features, of which a package reads some.

        Raises:
            ExplainError: a group has the name of a feature that is not in it.
        """
        group_of = {feature: name for name, features in declared.items() for feature in features}
        for name, features in declared.items():
            if name in columns and name not in features:
                raise ExplainError(
                    f"explain.groups.{name}: a feature has this name and is not in the group; "
                    "give the group another name"
                )
        members: dict[str, list[str]] = {}
        for column in columns:
            members.setdefault(group_of.get(column, column), []).append(column)
        names = tuple(members)
        place = {name: i for i, name in enumerate(names)}
        return cls(
            names=names,
            features=tuple(tuple(features) for features in members.values()),
            of_column=np.array([place[group_of.get(column, column)] for column in columns]),
        )


@dataclass(frozen=True, eq=False)
class Design:
    """The perturbed events of a package: m samples in complementary pairs, i and i + m/2.

    Attributes:
        groups: of the package's k columns.
        kept: bool (m, g), which groups a sample keeps.
        drawn: float32 (m, k), the background row that fills it up.
        weights: float64 (m,), LIME's kernel; they sum to 1.
        regressors: float64 (p, m): ones, `kept`, and the control variates.
        operator: float64 (m, p), from the model's answers to the coefficients of the regressors.
        typical: float64 (k,), medians of the background.
    """

    groups: Groups
    kept: NDArray[np.bool_]
    drawn: NDArray[np.float32]
    weights: NDArray[np.float64]
    regressors: NDArray[np.float64]
    operator: NDArray[np.float64]
    typical: NDArray[np.float64]

    @cached_property
    def kept_columns(self) -> NDArray[np.bool_]:
        """Which columns a sample keeps, (m, k)."""
        return self.kept[:, self.groups.of_column]

    @cached_property
    def ess(self) -> float:
        """Effective number of samples, 1 / Σ w² (Kish, "Survey Sampling", 1965)."""
        return float(1 / np.square(self.weights).sum())

    @cached_property
    def sha256(self) -> str:
        """Of what is asked and how it is read."""
        parts = (self.kept, self.drawn, self.operator)
        return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()

    def mixed(self, row: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the samples (m, k) of an event (k,)."""
        return np.where(self.kept_columns, row, self.drawn)


def draw(package: ModelPackage, settings: ExplainSettings) -> Design:
    """Draw the samples of a package; the same package and settings give the same ones.

    Raises:
        ExplainError: there are not enough samples for so many groups, or no background rows.
    """
    groups = Groups.of(package.features.names, settings.groups)
    background, m = package.background, settings.samples
    if len(background) == 0:
        raise ExplainError(f"model {package.short_id} has no background rows to replace values by")
    if len(groups.names) >= m // 2:
        raise ExplainError(
            f"explain.samples: {m} are too few for {len(groups.names)} groups of features; "
            f"{1 << (2 * len(groups.names)).bit_length()} would do"
        )
    rng = np.random.default_rng([settings.seed, *bytes.fromhex(package.id)])
    kept = _fold_over(m // 2, len(groups.names), rng)
    half = np.resize(rng.permutation(len(background)), m // 2)
    rows = np.concatenate([half, half])
    weights = _kernel(kept, settings.kernel_width)
    regressors = np.concatenate(
        [np.ones((m, 1)), kept, _control_variates(background, groups, kept, rows)], axis=1
    )
    shrinkage = np.full(regressors.shape[1], _SHRINKAGE)
    shrinkage[: 1 + len(groups.names)] = 0.0
    weighted = (regressors * weights[:, None]).T
    operator = np.linalg.solve(weighted @ regressors + np.diag(shrinkage), weighted)
    return Design(
        groups=groups,
        kept=kept,
        drawn=background[rows],
        weights=weights,
        regressors=np.ascontiguousarray(regressors.T),
        operator=np.ascontiguousarray(operator.T),
        typical=_medians(background),
    )


def _fold_over(half: int, groups: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    columns = rng.choice(half - 1, groups, replace=False) + 1  # the first is constant
    signs = rng.choice([-1, 1], groups)
    kept = (hadamard(half)[:, columns] * signs)[rng.permutation(half)] > 0
    return np.concatenate([kept, ~kept])


def _kernel(kept: NDArray[np.bool_], width: float) -> NDArray[np.float64]:
    """LIME's kernel, √exp(-d²/σ²) with σ = width·√g and d the distance to keeping all."""
    groups = kept.shape[1]
    replaced = groups - kept.sum(axis=1)
    weights = np.sqrt(np.exp(-replaced / (width**2 * groups)))
    return np.asarray(weights / weights.sum())


def _control_variates(
    background: NDArray[np.float32],
    groups: Groups,
    kept: NDArray[np.bool_],
    rows: NDArray[np.int64],
) -> NDArray[np.float64]:
    """What the drawn rows hold beyond the background's mean, where it counts: (m, c).

    For each column its standardised value, its rank, and steps at some quantiles.
    """
    columns = []
    for column, group in enumerate(groups.of_column):
        values = background[:, column].astype(np.float64)
        values = np.where(np.isnan(values), np.nanmedian([*values, 0.0]), values)
        spread = values.std()
        if spread == 0:
            continue
        rank = (rankdata(values) - 0.5) / len(values)
        shapes = [np.clip((values - values.mean()) / spread, -_FARTHEST, _FARTHEST), rank]
        shapes += [(rank > step).astype(np.float64) for step in _STEPS]
        for shape in shapes:
            if shape.std() > 0:
                columns.append(np.where(kept[:, group], 0.0, (shape - shape.mean())[rows]))
    return np.stack(columns, axis=1) if columns else np.empty((len(rows), 0))


def _medians(background: NDArray[np.float32]) -> NDArray[np.float64]:
    known = np.where(np.isnan(background).all(axis=0), 0.0, background).astype(np.float64)
    return np.asarray(np.nanmedian(known, axis=0))
