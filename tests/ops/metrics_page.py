"""Writes docs/metrics.md: `python -m tests.ops.metrics_page`."""

from pathlib import Path

from tests.ops.catalogue import catalogue

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"

_HEAD = """\
# Metrics

Written by `python -m tests.ops.metrics_page` from what the processes register; a test fails where
it is not current.

Every name begins with `weir_` and ends with its unit, a base unit of Prometheus: `_seconds`,
`_bytes`, `_ratio` for shares of 1. Counters end with `_total`, moments (UTC) with
`_timestamp_seconds`. What has no unit is a count. A label has one spelling in all processes. A
counter by a label whose values are known begins at 0 with all of them, so that `increase()` sees
the first time, too. What the windows hold, and had to forget, is a gauge: it may fall, as
partitions go to another worker, or a batch is taken back.

Besides, each process shows `process_…` (processor, memory, open files, start) and `python_…`, as
Prometheus' client has them. [alerts.md](alerts.md) says what is made of all this.

| metric | type | labels | unit | process | what it says |
|---|---|---|---|---|---|
"""


def page() -> str:
    """The page."""
    rows = []
    for each in catalogue():
        labels = ", ".join(f"`{label}`" for label in each.labels)
        cells = (f"`{each.name}`", each.type, labels, each.unit, ", ".join(each.processes))
        rows.append(f"| {' | '.join(cells)} | {each.meaning} |\n")
    return _HEAD + "".join(rows)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
