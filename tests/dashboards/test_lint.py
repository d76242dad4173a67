"""The rules of Grafana's dashboard linter, with the exceptions of `dashboards/.lint`."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import promql_parser as grammar
import pytest
import yaml

from chaosapi import assets
from tests.dashboards.boards import BOARDS, nodes, panels, substituted
from tests.dashboards.lint import RULES

EXCEPTIONS: dict[str, dict[str, Any]] = yaml.safe_load((assets.path("dashboards") / ".lint").read_text())["exclusions"]
RECORDED = ("ALERTS", "slo:", "sloth_slo_info")
"""What rules make has the labels of the rules, not of a service."""


def excepted(rule: str, dashboard: str, panel: str) -> bool:
    """Return whether a finding is an exception: one of the rule's entries, or any if it has none."""
    if rule not in EXCEPTIONS:
        return False
    entries = EXCEPTIONS[rule].get("entries")
    return not entries or {"dashboard": dashboard, "panel": panel} in entries


def found(rule: str) -> list[tuple[str, str, str]]:
    """Return what a rule finds: dashboard, panel and complaint."""
    return [(board["title"], *finding) for board in BOARDS.values() for finding in RULES[rule](board)]


@pytest.mark.parametrize("rule", RULES)
def test_the_dashboards_keep_the_rule(rule: str) -> None:
    """Or the departure is listed, with its reason."""
    assert [finding for finding in found(rule) if not excepted(rule, *finding[:2])] == []


@pytest.mark.parametrize("rule", EXCEPTIONS)
def test_every_exception_is_needed(rule: str) -> None:
    """It has a reason, and the rule would find what it excepts."""
    assert EXCEPTIONS[rule]["reason"].endswith(".")
    findings = found(rule)
    assert findings
    places = [{"dashboard": dashboard, "panel": panel} for dashboard, panel, _ in findings]
    assert [entry for entry in EXCEPTIONS[rule].get("entries", []) if entry not in places] == []


@pytest.mark.parametrize("name", BOARDS)
def test_every_series_is_of_the_chosen_service(name: str) -> None:
    """Or of the chosen load test, or made by rules."""
    for panel in panels(BOARDS[name]):
        for target in panel["targets"]:
            for node in nodes(substituted(target["expr"])):
                if isinstance(node, grammar.VectorSelector):
                    jobs = {each.value for each in node.matchers.matchers if each.name == "job"}
                    names = [node.name, *(each.value for each in node.matchers.matchers if each.name == "__name__")]
                    recorded = any(metric and metric.startswith(RECORDED) for metric in names)
                    assert recorded or jobs in ({"chaosapi"}, {"loadtest"}), (panel["title"], target["expr"])


def _put(*path: str | int, value: object) -> Callable[[dict[str, Any]], None]:
    def change(board: dict[str, Any]) -> None:
        place: Any = board
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value

    return change


PANEL = ("panels", 2)
EXPR = (*PANEL, "targets", 0, "expr")
HARM = {
    "template-datasource-rule": _put("templating", "list", 0, "label", value="Source"),
    "template-job-rule": _put("templating", "list", 1, "name", value="service"),
    "template-instance-rule": _put("templating", "list", 2, "name", value="replica"),
    "template-label-promql-rule": _put("templating", "list", 1, "query", value="label_values(up{, job)"),
    "template-on-time-change-reload": _put("templating", "list", 1, "refresh", value=1),
    "panel-datasource-rule": _put(*PANEL, "datasource", value={"type": "prometheus", "uid": "P1809F7CD0C75ACF3"}),
    "panel-title-description-rule": _put(*PANEL, "description", value=""),
    "panel-units-rule": _put(*PANEL, "fieldConfig", "defaults", "unit", value="req/s"),
    "panel-no-targets-rule": _put(*PANEL, "targets", value=[]),
    "target-promql-rule": _put(*EXPR, value="sum(rate(up[1m])"),
    "target-rate-interval-rule": _put(*EXPR, value='sum(rate(http_requests_total{job="$job"}[20s]))'),
    "target-counter-agg-rule": _put(*EXPR, value='sum(http_requests_total{job="$job"})'),
    "target-job-rule": _put(*EXPR, value="up"),
    "target-instance-rule": _put(*EXPR, value="up"),
    "uneditable-dashboard": _put("editable", value=True),
}


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_finds_what_breaks_it(rule: str) -> None:
    """One finding more than in the dashboard as it is."""
    board = deepcopy(BOARDS["golden-signals"])
    HARM[rule](board)
    before = set(RULES[rule](BOARDS["golden-signals"]))
    assert set(RULES[rule](board)) - before
