"""Which perturbed events explain any event of a package, and the operator that reads them.

LIME (Ribeiro et al., KDD 2016) asks the model about events near the one to explain, and fits a
linear model to its answers. Here the perturbed events of a package are drawn once: a sample keeps
some groups of features as the event has them, and takes the others from a row of the package's
background. So nothing impossible is asked: every value is one that an event had, counts are whole
numbers, and the features of a group come from one row. The linear model is in "kept" (1) and
"replaced" (0); since the samples are fixed, so are their weights and the least-squares solution,
and explaining is one product of a constant matrix with the model's answers.

Values are taken from a few rows that stand for the background (`medoids.py`). With each of
them goes a whole two-level design: a Hadamard matrix whose columns are dealt to the groups at
random, with random signs, and the complement of every run (Plackett and Burman, Biometrika 1946;
Box and Wilson's fold-over, 1951). So within each row, no group's effect is mixed with another's,
nor with a product of two. What is left of chance is products of three or more; the columns that
were dealt to no group show how large that is, event by event.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from explain.errors import ExplainError
from explain.lime.medoids import medoids
from explain.lime.settings import ExplainSettings
from inference.packages.package import ModelPackage

_LEAST_RUNS = 16
_LEAST_PROTOTYPES = 4


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
    """The perturbed events of a package: m samples, as many with each of some background rows.

    Attributes:
        groups: of the package's k columns.
        kept: bool (m, g), which groups a sample keeps.
        drawn: float32 (m, k), the background row that fills it up.
        runs: samples with one row, one after another.
        weights: float64 (m,), the rows' shares by LIME's kernel; they sum to 1.
        regressors: float64 (1 + g, m): ones, and `kept`.
        operator: float64 (m, 1 + g), from the model's answers to the coefficients of these.
        idle: float64 (m, l): the contrasts of the columns that no group has; what they find with
            one row is this column's part of the noise of every effect.
    """

    groups: Groups
    kept: NDArray[np.bool_]
    drawn: NDArray[np.float32]
    runs: int
    weights: NDArray[np.float64]
    regressors: NDArray[np.float64]
    operator: NDArray[np.float64]
    idle: NDArray[np.float64]

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
        """Of what is asked, and by which weights it is read."""
        parts = (self.kept, self.drawn, self.weights.astype(np.float32))
        return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()

    def mixed(self, row: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the samples (m, k) of an event (k,)."""
        return np.where(self.kept_columns, row, self.drawn)


def draw(package: ModelPackage, settings: ExplainSettings) -> Design:
    """Draw the samples of a package; the same package and settings give the same ones.

    Raises:
        ExplainError: there are not enough samples for so many groups, or background rows.
    """
    groups = Groups.of(package.features.names, settings.groups)
    count, background = len(groups.names), package.background
    half = max(_LEAST_RUNS, 1 << count.bit_length())  # at least one column is dealt to no group
    wanted = settings.samples // (2 * half)
    if wanted < _LEAST_PROTOTYPES:
        raise ExplainError(
            f"explain.samples: {settings.samples} are too few for {count} groups of features; "
            f"{2 * half * _LEAST_PROTOTYPES} would do"
        )
    if len(background) < _LEAST_PROTOTYPES:
        raise ExplainError(
            f"model {package.short_id} has {len(background)} background rows to replace values by; "
            f"{_LEAST_PROTOTYPES} are needed"
        )
    rows, shares = medoids(background, min(wanted, len(background)))
    rng = np.random.default_rng([settings.seed, *bytes.fromhex(package.id)])
    signs = np.concatenate([_fold_over(half, rng) for _ in rows])
    kept = signs[:, :count] > 0
    share = np.repeat(shares, 2 * half)
    weights = share * _kernel(kept, settings.kernel_width)
    weights /= weights.sum()
    regressors = np.concatenate([np.ones((len(kept), 1)), kept], axis=1)
    weighted = (regressors * weights[:, None]).T
    operator = np.linalg.solve(weighted @ regressors, weighted)
    return Design(
        groups=groups,
        kept=kept,
        drawn=np.repeat(background[rows], 2 * half, axis=0),
        runs=2 * half,
        weights=weights,
        regressors=np.ascontiguousarray(regressors.T),
        operator=np.ascontiguousarray(operator.T),
        idle=np.ascontiguousarray(share[:, None] * signs[:, count:] / half),
    )


def _fold_over(half: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """A Hadamard matrix over its negative (2 half, half), its columns in random order and sign."""
    columns, signs = rng.permutation(half), rng.choice([-1.0, 1.0], half)
    runs = _hadamard(half)[:, columns] * signs
    return np.concatenate([runs, -runs])


def _hadamard(order: int) -> NDArray[np.float64]:
    """Sylvester's matrix (order, order), of a power of two; SciPy's takes long to import."""
    matrix = np.ones((1, 1))
    while len(matrix) < order:
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    return matrix


def _kernel(kept: NDArray[np.bool_], width: float) -> NDArray[np.float64]:
    """LIME's kernel, √exp(-d²/σ²) with σ = width·√g and d the distance to keeping all."""
    groups = kept.shape[1]
    replaced = groups - kept.sum(axis=1)
    return np.asarray(np.sqrt(np.exp(-replaced / (width**2 * groups))))
