import numpy as np
from counted_feature import counted

from monitoring.breakage.kind import Kind
from monitoring.breakage.kinds import Diagnosis, FeatureCounts, diagnose

RNG = np.random.default_rng(5)
SINCE = 1_534_241_100_000
AMOUNTS = RNG.lognormal(4.3, 1.2, 20_000)
CODES = RNG.choice([1, 2, 3, 5], 20_000, p=[0.5, 0.3, 0.15, 0.05])
VERSIONS = RNG.choice(["app-version 4.1.0", "app-version 4.2.0"], 4_000, p=[0.7, 0.3])
NEW = VERSIONS == "app-version 4.2.0"
NOW = RNG.lognormal(4.3, 1.2, 4_000)


def said(feature: FeatureCounts, moved: bool = True, newcomers: tuple[str, ...] = ()) -> Diagnosis:
    found = diagnose(feature, SINCE, moved, newcomers)
    assert found is not None
    return found


def test_cents_for_euros_of_one_version() -> None:
    found = said(counted(AMOUNTS, np.where(NEW, 100 * NOW, NOW), VERSIONS))
    assert (found.kind, found.producer) == (Kind.UNIT_CHANGE, "app-version 4.2.0")
    assert abs(found.share - NEW.mean()) < 0.03
    assert found.words.startswith("amount is about 100 times what it was (cents for euros?) in ")
    assert found.words.endswith(" of it comes from app-version 4.2.0")


def test_cents_for_euros_of_all() -> None:
    found = said(counted(AMOUNTS, 100 * NOW, VERSIONS))
    assert found.words == (
        "amount is about 100 times what it was (cents for euros?) since 2018-08-14 10:05:00 UTC"
    )
    assert (found.share, found.producer, found.since) == (1.0, None, SINCE)
    found = said(counted(AMOUNTS, NOW / 100, ["app-version 4.2.0"] * 4_000), newcomers=("4.2.0",))
    assert "about 1/100 of what it was (euros for cents?)" in found.words
    assert found.words.endswith("; about then came 4.2.0, which is new")


def test_another_currency_of_a_version_that_is_new() -> None:
    feature = counted(AMOUNTS, np.where(NEW, 0.7 * NOW, NOW), VERSIONS)
    found = said(feature, newcomers=("app-version 4.2.0",))
    assert (found.kind, found.producer) == (Kind.UNIT_CHANGE, "app-version 4.2.0")
    assert "amount is about 0.7" in found.words
    assert "(another currency or unit?)" in found.words
    assert found.words.endswith("all of it comes from app-version 4.2.0, which is new")
    assert said(feature).kind is Kind.COVARIATE_SHIFT


def test_a_producer_that_always_sent_cents_is_none() -> None:
    few = RNG.random(20_000) < 0.04
    past = np.where(few, 100 * AMOUNTS, AMOUNTS)
    own = RNG.random(4_000) < 0.04
    now = np.where(own, 100 * NOW, NOW)
    names = np.where(own, "app-version 4.2.0", "app-version 4.1.0")
    assert diagnose(counted(past, now, names), SINCE, moved=False) is None
    assert said(counted(AMOUNTS, now, names), moved=False).producer == "app-version 4.2.0"


def test_nulls_come_before_what_else_moved() -> None:
    found = said(counted(AMOUNTS, np.where(NEW, np.nan, 100 * NOW), VERSIONS))
    assert (found.kind, found.producer) == (Kind.NULLS, "app-version 4.2.0")
    assert "amount is missing in 3" in found.words
    assert "(0 % before)" in found.words
    gone = np.where(RNG.random(20_000) < 0.9, np.nan, AMOUNTS)
    assert abs(said(counted(gone, NOW)).share - 1) < 1e-9


def test_a_default_and_a_constant() -> None:
    found = said(counted(AMOUNTS, np.where(NEW, 0, NOW), VERSIONS))
    assert (found.kind, found.producer) == (Kind.STUCK, "app-version 4.2.0")
    assert found.words.startswith("amount is 0 in ")
    assert said(counted(AMOUNTS, np.full(100, 12.5))).words.startswith("amount is stuck at 12.5 ")


def test_a_new_category_warns_and_a_new_range_pages() -> None:
    codes = RNG.choice([1, 2, 3, 4, 5], 4_000, p=[0.45, 0.27, 0.13, 0.1, 0.05])
    found = said(counted(CODES, codes, VERSIONS), moved=False)
    assert (found.kind, found.kind.is_breakage, found.producer) == (Kind.NEW_CATEGORY, False, None)
    assert "most often 4" in found.words
    far = np.where(RNG.random(4_000) < 0.05, -NOW, NOW)
    found = said(counted(AMOUNTS, far), moved=False)
    assert (found.kind, found.kind.is_breakage) == (Kind.NEW_RANGE, True)
    for share in (0.05, 0.5, 1):
        infinite = np.where(RNG.random(4_000) < share, RNG.choice([-np.inf, np.inf], 4_000), NOW)
        assert diagnose(counted(AMOUNTS, infinite), SINCE, moved=False) is not None


def test_a_changed_world_is_a_covariate_shift_and_only_where_something_moved() -> None:
    shifted = counted(AMOUNTS, RNG.lognormal(4.9, 1.2, 4_000), VERSIONS)
    found = said(shifted)
    assert (found.kind, found.producer) == (Kind.COVARIATE_SHIFT, None)
    assert 0.1 < found.share < 0.4
    assert diagnose(shifted, SINCE, moved=False) is None
    assert diagnose(counted(AMOUNTS, NOW, VERSIONS), SINCE, moved=False) is None
    assert diagnose(counted(AMOUNTS, []), SINCE, moved=False) is None
    grown = counted(RNG.poisson(2, 20_000), RNG.poisson(4, 4_000))
    assert said(grown).kind is Kind.COVARIATE_SHIFT
