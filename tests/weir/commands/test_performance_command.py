"""`weir performance`, as a user runs it."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from front_door import write_settings

from inference.policy.policy import APPROVE, REVIEW
from monitoring.performance.cohorts.cohort import DAY, Cohort, CohortKey, answered_cohort, terms_of
from monitoring.performance.cohorts.truth import ROW, Truth
from monitoring.performance.store import CohortPart
from weir.config.settings import load_settings

Run = Callable[..., tuple[int, str, str]]
FIRST = 20_000
MODEL = "c6faeac493c8"


def rows_of(rng: np.random.Generator, odds: float) -> tuple[np.ndarray, np.ndarray]:
    """A day of a model that reviews from 10 % on, and whether events were fraud."""
    logits = rng.normal(-5, 2.0, 3_000)
    rows = np.zeros(3_000, ROW)
    rows["probability"] = 1 / (1 + np.exp(-logits))
    rows["amount"] = rng.lognormal(4.3, 1.2, 3_000)
    rows["decision"] = np.where(rows["probability"] >= 0.1, REVIEW, APPROVE)
    return rows, rng.random(3_000) < 1 / (1 + np.exp(-logits - np.log(odds)))


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Settings with a store of 30 days, the last 7 of which are not mature; trouble from day 15."""
    path = write_settings(
        tmp_path / "weir.toml",
        data_dir=str(tmp_path / "data"),
        feature_log={"include": ["amount"]},
        policy={"costs": {"cap": 500, "friction": 20, "review": 5}},
    )
    settings = load_settings(path)
    terms, rng = settings.terms(), np.random.default_rng(1)
    watermark = (FIRST + 30) * DAY
    parts = []
    for day in range(30):
        rows, frauds = rows_of(rng, 1.0 if day < 15 else 4.0)
        cohort = answered_cohort(rows, rng.random(3_000) < 0.01, terms)
        if watermark >= (FIRST + day + 1) * DAY + terms.maturity:
            cohort += Cohort(truth=Truth.of(rows, frauds.astype(np.int8), terms))
            cohort += Cohort(reports={70: 20, 71: 10})
        key = CohortKey(FIRST + day, MODEL, "", terms_of(terms))
        parts.append(CohortPart(key, "weir.feature-log/0", 1, watermark, cohort))
    with settings.performance.open_store(settings.data_dir) as store:
        store.write(parts)
    return path


def test_days_are_shown_with_what_they_mean(run: Run, config: Path) -> None:
    code, out, err = run("performance", "--config", config)
    assert (code, err) == (0, "")
    assert "2024-10-04" not in out, "only the last 14 days"
    assert "2024-11-02" in out
    assert f"{MODEL}: estimates (?) are not to be trusted: probabilities" in out
    assert "frauds where they say" in out
    assert f"{MODEL}: of frauds that are known after" in out
    rows = [line for line in out.splitlines() if line.startswith("│ 2024-")]
    lines = {line.split("│")[1].strip(): line for line in rows}
    assert "?" in lines["2024-11-02"]
    assert "?" not in lines["2024-10-20"]


def test_any_past_week_can_be_asked_for(run: Run, config: Path) -> None:
    options = ("--from", "2024-10-05", "--to", "2024-10-12", "--model", MODEL[:4], "--json")
    code, out, _ = run("performance", *options, "--config", config)
    said = json.loads(out)
    assert code == 0
    assert [day["day"] for day in said["days"]] == [f"2024-10-{day:02}" for day in range(5, 12)]
    first = said["days"][0]
    assert (first["events"], first["mature"], first["whole"]) == (3_000, 3_000, True)
    for figure in ("precision", "recall", "cost"):
        expected = first["estimated"][figure]
        assert expected["low"] < first[figure] < expected["high"]
    assert said["models"][0]["not_trusted"] is None, "as it was known then"
    code, out, _ = run("performance", "--model", "nobody", "--config", config)
    assert (code, out) == (0, "no cohort of that time stands in the store\n")


def test_a_loss_asks_for_retraining(run: Run, config: Path) -> None:
    code, out, _ = run("performance", "--config", config)
    assert code == 0
    assert f"performance loss of {MODEL}: cost" in out
    assert "train anew" in out


def test_without_a_store_it_says_who_makes_it(run: Run, tmp_path: Path) -> None:
    config = write_settings(tmp_path / "weir.toml", data_dir=str(tmp_path / "data"))
    code, out, err = run("performance", "--config", config)
    assert (code, out) == (1, "")
    assert "`weir monitor` makes the store" in err
