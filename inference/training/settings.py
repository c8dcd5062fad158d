"""The ``[training]`` section; without the libraries that train, which settings have no use for."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from streams.base.section import Duration, Section, TimeZone


class TreeSettings(Section):
    """The ``[training.trees]`` section; LightGBM's name of a parameter where it is another.

    The defaults were chosen on eight folds of card transactions, all before the weeks that they
    were then tested on (docs/models.md). Many bins matter most: fraud sits in the thin upper tail
    of amounts, where 255 bins of equal counts can't cut.
    """

    rounds: int = Field(default=300, ge=1)
    learning_rate: float = Field(default=0.03, gt=0)
    num_leaves: int = Field(default=16, ge=2)
    max_depth: int = Field(default=5, description="-1 is no limit")
    max_bin: int = Field(default=8191, ge=2)
    min_rows_per_bin: int = Field(default=1, ge=1, description="min_data_in_bin")
    min_rows_per_leaf: int = Field(default=50, ge=1, description="min_data_in_leaf")
    min_weight_per_leaf: float = Field(default=1.0, ge=0, description="min_sum_hessian_in_leaf")
    lambda_l1: float = Field(default=0.0, ge=0)
    lambda_l2: float = Field(default=1.0, ge=0)
    feature_fraction: float = Field(default=0.7, gt=0, le=1)
    bagging_fraction: float = Field(default=0.7, gt=0, le=1)
    extra_trees: bool = False
    bags: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _bags_differ(self) -> "TreeSettings":
        random = self.extra_trees or self.feature_fraction < 1 or self.bagging_fraction < 1
        if self.bags > 1 and not random:
            raise ValueError(
                "bags > 1 would fit the same trees again: set feature_fraction or "
                "bagging_fraction below 1, or extra_trees"
            )
        return self


class AutoencoderSettings(Section):
    """The ``[training.autoencoder]`` section."""

    hidden: int = Field(default=32, ge=1)
    bottleneck: int = Field(default=6, ge=1)
    epochs: int = Field(default=20, ge=1)
    batch_size: int = Field(default=256, ge=1)
    learning_rate: float = Field(default=2e-3, gt=0)
    max_rows: int = Field(default=50_000, ge=100, description="more are sampled down to these")
    clip: float = Field(default=8.0, gt=0, description="bound of a scaled feature")


class DenseSettings(Section):
    """The ``[training.dense]`` section, of the families ``mlp`` and ``logistic``."""

    hidden: tuple[int, ...] = Field(
        default=(32, 16), min_length=1, description="widths of the layers of mlp"
    )
    epochs: int = Field(default=20, ge=1, description="of mlp")
    batch_size: int = Field(default=256, ge=1, description="of mlp")
    learning_rate: float = Field(default=1e-3, gt=0, description="of mlp")
    l2: float = Field(default=1e-4, gt=0, description="penalty on the weights")
    clip: float = Field(default=8.0, gt=0, description="bound of a scaled feature")

    @model_validator(mode="after")
    def _layers_are_wide(self) -> "DenseSettings":
        if min(self.hidden) < 1:
            raise ValueError("hidden: each layer needs a width of at least 1")
        return self


class XGBoostSettings(Section):
    """The ``[training.xgboost]`` section, of the family ``xgboost``."""

    rounds: int = Field(default=300, ge=1)
    learning_rate: float = Field(default=0.03, gt=0)
    max_depth: int = Field(default=5, ge=1)
    max_bin: int = Field(default=8191, ge=2)
    min_child_weight: float = Field(default=1.0, ge=0)
    lambda_l2: float = Field(default=1.0, ge=0, description="lambda")
    subsample: float = Field(default=0.7, gt=0, le=1)
    colsample: float = Field(default=0.7, gt=0, le=1, description="colsample_bytree")


Family = Literal["lightgbm", "xgboost", "mlp", "logistic"]


class SearchSettings(Section):
    """The ``[training.search]`` section: `weir train --search`.

    It ends with `trials` or with `time`, whichever comes first; only with the first of them the
    same data and seed give the same winner.
    """

    trials: int = Field(default=100, ge=1, description="at most so many")
    time: Duration = Field(default=30 * 60_000, gt=0, description="at most so long")
    families: tuple[Family, ...] = Field(
        default=(), description="kinds of fraud model to choose from; () is training.family alone"
    )
    metric: Literal["average_precision", "auc", "card_precision"] = "average_precision"
    folds: int = Field(
        default=4, ge=1, description="as those of [prequential], all before the hold-out"
    )
    on_stop: Literal["discard", "use_best"] = Field(
        default="discard", description="what Ctrl-C or SIGTERM makes of the best so far"
    )


class TrainingSettings(Section):
    """The ``[training]`` section."""

    seed: int = Field(default=7, ge=0, lt=2**31 - 1000)
    threads: int = Field(
        default=2, ge=1, description="changes how long training takes, and nothing else"
    )
    holdout_fraction: float = Field(
        default=0.2, gt=0, lt=1, description="of the rows: the latest ones"
    )
    refit: bool = Field(
        default=True, description="fit the served trees on all rows, hold-out included"
    )
    review_alert_rate: float = Field(default=0.01, gt=0, lt=1)
    decline_alert_rate: float = Field(default=0.002, gt=0, lt=1)
    drift_bins: int = Field(default=20, ge=2)
    drift_timezone: TimeZone = Field(
        default="UTC", description="whose hours of the week the drift reference is counted by"
    )
    background_rows: int = Field(default=500, ge=1)
    family: Family = Field(default="lightgbm", description="kind of the fraud model")
    class_weight: Literal["none", "balanced"] | Annotated[float, Field(gt=0, le=1e6)] = Field(
        default="none",
        description="how many times a fraud counts while the fraud model is fitted; balanced: "
        "frauds together as much as the others",
    )
    trees: TreeSettings = TreeSettings()
    xgboost: XGBoostSettings = XGBoostSettings()
    dense: DenseSettings = DenseSettings()
    autoencoder: AutoencoderSettings = AutoencoderSettings()
    search: SearchSettings = SearchSettings()

    @model_validator(mode="after")
    def _declines_fewer_than_it_reviews(self) -> "TrainingSettings":
        if self.decline_alert_rate > self.review_alert_rate:
            raise ValueError("decline_alert_rate must not be above review_alert_rate")
        return self


class PrequentialSettings(Section):
    """The ``[prequential]`` section: folds of `weir train --protocol prequential`."""

    folds: int = Field(default=4, ge=1)
    train: Duration = Field(default=7 * 86_400_000, gt=0, description="span that each trains on")
    test: Duration = Field(default=7 * 86_400_000, gt=0, description="span that each is tested on")
