"""The rules of Grafana's dashboard linter, by its names: what each finds, as (title of the panel or "", complaint).

https://github.com/grafana/dashboard-linter/tree/main/docs/rules
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import promql_parser as grammar

from tests.dashboards.boards import nodes, panels, substituted, variables

Board = dict[str, Any]
Findings = Iterator[tuple[str, str]]

RATES = {"rate", "irate"}
UNITS = {"none", "short", "percentunit", "s", "bytes", "reqps", "bool_on_off"}
"""Those of Grafana's units that the dashboards use."""
_A_RATE_INTERVAL = "7919s"  # no window of any query is this long


def template_datasource(board: Board) -> Findings:
    """Find a data source that is not chosen by a variable."""
    found = variables(board, "datasource")
    if [variable["name"] for variable in found] != ["datasource"]:
        yield "", "no variable 'datasource'"
    for variable in found:
        if variable.get("label") != "Data source":
            yield "", f"'datasource' is labelled {variable.get('label')!r}"


def template_job(board: Board) -> Findings:
    """Find that services cannot be chosen by the variable `job`."""
    yield from _choice(board, "job")


def template_instance(board: Board) -> Findings:
    """Find that replicas cannot be chosen by the variable `instance`."""
    yield from _choice(board, "instance")


def _choice(board: Board, name: str) -> Findings:
    found = [variable for variable in variables(board, "query") if variable["name"] == name]
    if not found:
        yield "", f"no variable {name!r}"
    for variable in found:
        wanted = {"label": name.title(), "multi": True, "allValue": ".+"}
        for key, value in wanted.items():
            if variable.get(key) != value:
                yield "", f"{key} of {name!r} is {variable.get(key)!r}"


def template_label_promql(board: Board) -> Findings:
    """Find a variable whose values are not asked for with a function of the data source, over PromQL."""
    for variable in variables(board, "query"):
        call = re.fullmatch(r"(?:label_names|label_values|metrics|query_result)\((.+), \w+\)", variable["query"])
        if not call or not _parses(call[1]):
            yield "", f"{variable['name']!r} asks {variable['query']}"


def template_on_time_change_reload(board: Board) -> Findings:
    """Find a variable whose values stay those of another time range."""
    for variable in variables(board, "query"):
        if variable["refresh"] != 2:
            yield "", f"{variable['name']!r} is refreshed at {variable['refresh']}"


def panel_datasource(board: Board) -> Findings:
    """Find a panel of one certain data source."""
    for panel in panels(board):
        for item in (panel, *panel.get("targets", [])):
            if item.get("datasource", {}).get("uid") != "${datasource}":
                yield panel["title"], f"asks {item.get('datasource')}"


def panel_title_description(board: Board) -> Findings:
    """Find a panel without a title or a description."""
    for panel in panels(board):
        if not panel.get("title") or not panel.get("description"):
            yield panel.get("title", ""), "has no title or no description"


def panel_units(board: Board) -> Findings:
    """Find a number without a unit of Grafana's."""
    for panel in panels(board):
        unit = panel["fieldConfig"]["defaults"].get("unit")
        if unit not in UNITS:
            yield panel["title"], f"has the unit {unit!r}"


def panel_no_targets(board: Board) -> Findings:
    """Find a panel without a query."""
    for panel in panels(board):
        if not panel.get("targets"):
            yield panel["title"], "has no query"


def target_promql(board: Board) -> Findings:
    """Find what is not PromQL."""
    for title, expr in _queries(board):
        if not _parses(expr):
            yield title, f"does not parse: {expr}"


def target_rate_interval(board: Board) -> Findings:
    """Find a rate over a fixed window: too short for one scrape interval, too long for another."""
    for title, expr in _queries(board):
        for call in _calls(expr, RATES):
            if call.args[0].range.total_seconds() != float(_A_RATE_INTERVAL.removesuffix("s")):
                yield title, f"{call.prettify()} does not use $__rate_interval"


def target_counter_agg(board: Board) -> Findings:
    """Find a counter that is shown as it is: it says how long ago the process began."""
    for title, expr in _queries(board):
        counters = Counter(
            node.prettify()
            for node in _nodes(expr)
            if isinstance(node, grammar.VectorSelector) and (node.name or "").endswith("_total")
        )
        counters -= Counter(call.args[0].vector_selector.prettify() for call in _calls(expr, {*RATES, "increase"}))
        for counter in counters:
            yield title, f"{counter} is no rate"


def target_job(board: Board) -> Findings:
    """Find a series of any service, not of those chosen."""
    yield from _matched(board, "job")


def target_instance(board: Board) -> Findings:
    """Find a series of any replica, not of those chosen."""
    yield from _matched(board, "instance")


def _matched(board: Board, label: str) -> Findings:
    for panel in panels(board):
        for target in panel.get("targets", []):
            for node in _nodes(target["expr"].replace(f'{label}=~"${label}"', f'{label}=~"chosen"')):
                if isinstance(node, grammar.VectorSelector):
                    asked = {each.name: each.value for each in node.matchers.matchers}
                    if asked.get(label) != "chosen":
                        yield panel["title"], f'{node.prettify()} has no {label}=~"${label}"'


def uneditable(board: Board) -> Findings:
    """Find a dashboard that can be changed where it is provisioned."""
    if board["editable"]:
        yield "", "is editable"


RULES: Mapping[str, Callable[[Board], Findings]] = {
    "template-datasource-rule": template_datasource,
    "template-job-rule": template_job,
    "template-instance-rule": template_instance,
    "template-label-promql-rule": template_label_promql,
    "template-on-time-change-reload": template_on_time_change_reload,
    "panel-datasource-rule": panel_datasource,
    "panel-title-description-rule": panel_title_description,
    "panel-units-rule": panel_units,
    "panel-no-targets-rule": panel_no_targets,
    "target-promql-rule": target_promql,
    "target-rate-interval-rule": target_rate_interval,
    "target-counter-agg-rule": target_counter_agg,
    "target-job-rule": target_job,
    "target-instance-rule": target_instance,
    "uneditable-dashboard": uneditable,
}


def _queries(board: Board) -> Iterator[tuple[str, str]]:
    for panel in panels(board):
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"].replace("$__rate_interval", _A_RATE_INTERVAL)


def _nodes(expr: str) -> list[grammar.Expr]:
    try:
        return nodes(substituted(expr))
    except ValueError:
        return []  # another rule's finding


def _calls(expr: str, names: set[str]) -> list[grammar.Call]:
    """Return the calls of these functions over a range of a metric."""
    return [
        node
        for node in _nodes(expr)
        if isinstance(node, grammar.Call)
        and node.func.name in names
        and isinstance(node.args[0], grammar.MatrixSelector)
    ]


def _parses(expr: str) -> bool:
    return bool(_nodes(expr))
