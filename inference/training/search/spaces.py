"""What a search tries: a small space of settings for each family of fraud models."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from inference.training.settings import Family, TrainingSettings

if TYPE_CHECKING:
    import optuna

_SECTIONS = {"lightgbm": "trees", "xgboost": "xgboost", "mlp": "dense", "logistic": "dense"}
_WIDTHS = {"16": (16,), "32-16": (32, 16), "64-32": (64, 32), "128-64": (128, 64)}


def suggest(
    trial: "optuna.Trial", base: TrainingSettings, families: tuple[Family, ...]
) -> tuple[TrainingSettings, dict[str, Any]]:
    """Return settings to try, and what in them was chosen, by its key below ``[training]``.

    Args:
        base: has all that is not searched.
        families: to choose from.
    """
    family: Family = families[0]
    if len(families) > 1:
        family = cast(Family, trial.suggest_categorical("family", families))
    section = _SECTIONS[family]
    chosen = _SPACES[family](trial, f"{family}.")
    before = getattr(base, section)
    # By way of the validators, which a copy would pass by.
    after = type(before).model_validate(before.model_dump() | chosen)
    keys = {f"{section}.{name}": value for name, value in chosen.items()}
    return base.model_copy(update={"family": family, section: after}), keys


def _lightgbm(trial: "optuna.Trial", at: str) -> dict[str, Any]:
    return {
        "rounds": trial.suggest_int(f"{at}rounds", 100, 1_000, log=True),
        "learning_rate": trial.suggest_float(f"{at}learning_rate", 0.01, 0.2, log=True),
        "num_leaves": trial.suggest_int(f"{at}num_leaves", 4, 64, log=True),
        "max_depth": trial.suggest_int(f"{at}max_depth", 2, 10),
        "max_bin": trial.suggest_categorical(f"{at}max_bin", (255, 1023, 8191)),
        "min_rows_per_leaf": trial.suggest_int(f"{at}min_rows_per_leaf", 5, 300, log=True),
        "min_weight_per_leaf": trial.suggest_float(f"{at}min_weight_per_leaf", 1e-3, 10, log=True),
        "lambda_l2": trial.suggest_float(f"{at}lambda_l2", 1e-2, 100, log=True),
        "feature_fraction": trial.suggest_float(f"{at}feature_fraction", 0.3, 1),
        "bagging_fraction": trial.suggest_float(f"{at}bagging_fraction", 0.3, 1),
    }


def _xgboost(trial: "optuna.Trial", at: str) -> dict[str, Any]:
    return {
        "rounds": trial.suggest_int(f"{at}rounds", 100, 1_000, log=True),
        "learning_rate": trial.suggest_float(f"{at}learning_rate", 0.01, 0.2, log=True),
        "max_depth": trial.suggest_int(f"{at}max_depth", 2, 8),
        "max_bin": trial.suggest_categorical(f"{at}max_bin", (255, 1023, 8191)),
        "min_child_weight": trial.suggest_float(f"{at}min_child_weight", 0.1, 20, log=True),
        "lambda_l2": trial.suggest_float(f"{at}lambda_l2", 1e-2, 100, log=True),
        "subsample": trial.suggest_float(f"{at}subsample", 0.3, 1),
        "colsample": trial.suggest_float(f"{at}colsample", 0.3, 1),
    }


def _mlp(trial: "optuna.Trial", at: str) -> dict[str, Any]:
    return _logistic(trial, at) | {
        "hidden": _WIDTHS[trial.suggest_categorical(f"{at}hidden", tuple(_WIDTHS))],
        "epochs": trial.suggest_int(f"{at}epochs", 5, 60, log=True),
        "batch_size": trial.suggest_categorical(f"{at}batch_size", (64, 256, 1024)),
        "learning_rate": trial.suggest_float(f"{at}learning_rate", 1e-4, 1e-2, log=True),
    }


def _logistic(trial: "optuna.Trial", at: str) -> dict[str, Any]:
    return {
        "l2": trial.suggest_float(f"{at}l2", 1e-7, 1e-1, log=True),
        "clip": trial.suggest_float(f"{at}clip", 2, 30, log=True),
    }


_SPACES: dict[Family, Callable[["optuna.Trial", str], dict[str, Any]]] = {
    "lightgbm": _lightgbm,
    "xgboost": _xgboost,
    "mlp": _mlp,
    "logistic": _logistic,
}
