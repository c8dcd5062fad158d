"""How the exact mode samples and fits: the `lime` package's parameters by their own names."""

from typing import Generic, Literal, Self, TypeVar

from pydantic import Field, field_validator, model_validator

from streams.base.section import Section

Discretizer = Literal["none", "quartile", "decile", "entropy"]
FeatureSelection = Literal["auto", "none", "forward_selection", "highest_weights", "lasso_path"]

Column = TypeVar("Column", int, str)
"""What names a column: its number, or the feature's name."""


class _Parameters(Section, Generic[Column]):
    """Parameters of the package's ``LimeTabularExplainer``, with its defaults.

    ``discretizer = "none"`` is its ``discretize_continuous=False``.
    """

    discretizer: Discretizer = "quartile"
    categorical_features: tuple[Column, ...] = Field(
        default=(), description="columns whose values are codes; drawn in this order"
    )
    sample_around_instance: bool = Field(
        default=False, description="centre the noise on the event, not on the training data's mean"
    )
    kernel_width: float | None = Field(
        default=None, gt=0, allow_inf_nan=False, description="else 0.75 times the root of columns"
    )
    feature_selection: FeatureSelection = Field(
        default="auto", description="auto: forward_selection up to six features, else by weight"
    )
    num_features: int = Field(default=10, ge=1, description="attributions at most")
    num_samples: int = Field(default=5000, ge=2, description="the event itself is the first")

    @model_validator(mode="after")
    def _means_what_it_says(self) -> Self:
        if len(set(self.categorical_features)) != len(self.categorical_features):
            raise ValueError("categorical_features names a column twice")
        if self.sample_around_instance and self.discretizer != "none":
            raise ValueError(
                "sample_around_instance does nothing to discretised features: "
                'set discretizer = "none", or leave it out'
            )
        return self


class ExactSettings(_Parameters[int]):
    """For rows whose columns have numbers."""


class LimeSettings(_Parameters[str]):
    """The ``[explain.lime]`` section: parameters where ``explain.method = "lime"``."""

    @field_validator("discretizer")
    @classmethod
    def _without_labels(cls, discretizer: Discretizer) -> Discretizer:
        if discretizer == "entropy":
            raise ValueError(
                'discretizer = "entropy" needs labels, and a model package keeps none of its '
                'background rows: choose "quartile", "decile" or "none"'
            )
        return discretizer
