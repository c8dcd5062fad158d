"""One naming of metrics over all processes, and a page that says so."""

import ast
import re

import pytest

from tests.ops.catalogue import Metric, catalogue
from tests.ops.metrics_page import PAGE, page

ROOT = PAGE.parents[1]
ROOMS = ("streams", "inference", "explain", "monitoring", "weir")
CATALOGUE = catalogue()
LABELS = re.compile(
    "arm|backend|candidate|decision|deed|device|entity|feature|feature_schema|guardrail|kind|model|outcome"
    "|part|partition|path|phase|policy|precision|reason|route|severity|stage|topic|verdict"
)
"""One word for one thing: another one needs a reason."""
UNITS = {"seconds", "bytes", "ratio"}
FOREIGN = re.compile(r"_(ms|us|millis\w*|micros\w*|minutes|hours|days|kb|mb|percent|share|time)$")


@pytest.mark.parametrize("metric", CATALOGUE, ids=lambda each: each.name)
def test_a_name_obeys_the_scheme(metric: Metric) -> None:
    name = metric.name
    assert re.fullmatch(r"weir(_[a-z][a-z0-9]*)+", name)
    assert (metric.type == "counter") == name.endswith("_total")
    assert not re.search(r"_(count|sum|bucket|created)$", name)
    base = name.removesuffix("_total")
    assert not FOREIGN.search(base), "a base unit comes last: _seconds, _bytes or _ratio"
    assert (base.rpartition("_")[2] in UNITS) == bool(metric.unit)
    assert base.endswith(metric.unit)
    assert all(map(LABELS.fullmatch, metric.labels)), metric.labels


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `python -m tests.ops.metrics_page`"


def names_in_the_code() -> set[str]:
    """What looks like a metric's name, in files that know Prometheus' client."""
    found: set[str] = set()
    for room in ROOMS:
        for file in (ROOT / room).rglob("*.py"):
            text = file.read_text(encoding="utf-8")
            if "prometheus_client" not in text:
                continue
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found |= set(re.findall(r"\Aweir_[a-z_]+[a-z]\Z", node.value))
    return found


def test_no_metric_of_the_code_is_missing() -> None:
    known = {name.removesuffix("_total") for name in (m.name for m in CATALOGUE)}
    code = names_in_the_code()
    assert "weir_events" in code
    assert code <= known, "tests/ops/catalogue.py makes the collectors of every process"


def test_pages_name_metrics_that_there_are() -> None:
    known = {each.name for each in CATALOGUE}
    for file in sorted((ROOT / "docs").glob("*.md")):
        text = file.read_text(encoding="utf-8")
        for name, rest in re.findall(r"`(weir_[a-z_]+[a-z])(\{[^`]*\}|[^`\w.])?`", text):
            if "_fidelity" in name or (not rest and name not in known):
                continue  # roles and functions of the store are named so, too
            assert name in known, f"{file.name}: there is no metric {name}"
