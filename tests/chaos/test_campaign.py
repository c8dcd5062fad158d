"""A campaign of twenty seconds: `make chaos` itself, with faults of every part of the stage.

It takes about a minute, so it runs only when it is asked for: ``WEIR_CHAOS=1 pytest tests/chaos``.
"""

import os
from pathlib import Path

import pytest

from tests.chaos import campaign

KINDS = (
    "kill scorer",
    "terminate scorer",
    "second scorer",
    "kill shadow",
    "candidate",
    "kill broker",
    "tear a message",
    "malformed events",
    "lagging partitions",
)


@pytest.mark.slow
@pytest.mark.skipif("WEIR_CHAOS" not in os.environ, reason="takes a minute: set WEIR_CHAOS=1")
def test_a_small_campaign_keeps_every_promise(tmp_path: Path) -> None:
    order = campaign.Order(
        tmp_path / "run", seed=11, minutes=0.3, faults=9, events=9_000, only=KINDS
    )
    report = campaign.run(order, lambda what, share: None)
    assert report.violations == {}, report.examples
    assert report.faults >= 7
    assert report.events > 8_500
    assert report.answers == report.events
    shadow = report.shadow
    assert shadow.scored + shadow.shed == shadow.events == report.events
    assert report.compared > 0.9 * report.events
    assert report.rejected > 10
    assert not (tmp_path / "run").exists()
