"""Rules, runbooks, dashboards and examples fit together, and name metrics that there are."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitoring.ops.dashboards import DASHBOARDS, FOLDER, dashboard
from tests.ops.catalogue import catalogue
from tests.ops.provocations import PROVOCATIONS
from weir.services.processes import PROCESSES

ROOT = Path(__file__).parents[2]
OPS = ROOT / "monitoring" / "ops"
RUNBOOKS = ROOT / "docs" / "runbooks"


def rules(name: str) -> list[dict[str, Any]]:
    text = (OPS / "rules" / f"weir-{name}.yml").read_text(encoding="utf-8")
    return [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]


ALERTS = {rule["alert"]: rule for rule in rules("alerts")}
RECORDED = {rule["record"]: rule["expr"] for rule in rules("recording")}


def page_of(alert: str) -> str:
    """`WeirLagGrowing` has docs/runbooks/lag-growing.md."""
    words = re.findall("[A-Z][a-z]+", alert.removeprefix("Weir"))
    return f"docs/runbooks/{'-'.join(words).lower()}.md"


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_has_its_page(alert: str) -> None:
    rule = ALERTS[alert]
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
    assert rule["annotations"]["runbook_url"] == page_of(alert)
    text = (ROOT / page_of(alert)).read_text(encoding="utf-8")
    heads = [line for line in text.splitlines() if line.startswith("#")]
    assert heads == [f"# {alert}", "## Look first", "## Do", "## Wake somebody"]


def test_a_page_has_its_alert() -> None:
    pages = {str(page.relative_to(ROOT)) for page in RUNBOOKS.iterdir()}
    assert pages == set(map(page_of, ALERTS))


def test_an_alert_is_provoked_unless_nothing_tells_of_it_yet() -> None:
    fired = {alert for each in PROVOCATIONS for alert in each.alerts}
    assert fired == ALERTS.keys()


def test_links_of_pages_lead_somewhere() -> None:
    for page in RUNBOOKS.iterdir():
        for link in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).is_file(), f"{page.name}: {link}"


def test_every_alert_is_fired_by_a_test_of_promtool() -> None:
    text = "".join(file.read_text() for file in (OPS / "rules" / "tests").glob("*.yml"))
    assert set(re.findall(r'alertname="(\w+)"', text)) == ALERTS.keys()


def queries() -> list[str]:
    shown = [
        query for _, panels in DASHBOARDS.values() for each in panels for query in each.queries
    ]
    return [
        *(rule["expr"] for rule in ALERTS.values()),
        *RECORDED.values(),
        *(query for query, _ in shown),
    ]


def test_queries_name_metrics_that_there_are() -> None:
    known = {each.name for each in catalogue()} | RECORDED.keys()
    known |= {f"{each.name}_{end}" for each in catalogue() for end in ("sum", "count", "bucket")}
    named = {
        name for query in queries() for name in re.findall(r"(?:\w+:)?weir_\w+(?::\w+)?", query)
    }
    assert "job:weir_lag:seconds" in named
    assert named <= known


def test_what_is_recorded_is_used() -> None:
    for name in RECORDED:
        assert sum(name in query for query in queries()) > 0, name


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_dashboard_is_current(name: str) -> None:
    text = (FOLDER / f"{name}.json").read_text(encoding="utf-8")
    assert text == dashboard(name), "run `python -m monitoring.ops.dashboards`"


def test_the_example_asks_each_process() -> None:
    config = yaml.safe_load((OPS / "prometheus.yml").read_text(encoding="utf-8"))
    asked = {job["job_name"]: job["static_configs"] for job in config["scrape_configs"]}
    assert asked == {
        f"weir-{each.name}": [{"targets": [f"127.0.0.1:{each.port}"]}] for each in PROCESSES
    }


def test_routes_name_alerts_that_there_are() -> None:
    text = (OPS / "alertmanager.yml").read_text(encoding="utf-8")
    named = set(re.findall(r"Weir[A-Z]\w+", text))
    assert named
    assert named <= ALERTS.keys()
