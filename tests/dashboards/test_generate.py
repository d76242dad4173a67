import re
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from chaosapi import assets
from chaosapi.forecast.traffic import SHOP
from chaosapi.slo import windows
from tests.dashboards.boards import BOARDS, PATHS, annotations, everything, panels, read, substituted, variables
from tests.patience import patience

DASHBOARDS = assets.path("dashboards")
LEARNER = {"golden-signals", "slo", "traffic"}
UNITS = {  # of what a query reads, the first that fits
    r"^avg\(up": "none",  # words
    r"objective:ratio|1 - max by|ratio_rate\(\d|budget_remaining:ratio[^*]*$|fault_strength": "percentunit",
    r"time_period:days": "s",
    r"shed_ratio": "percentunit",
    r"slo:": "suffix:×",
    r"histogram_quantile|_seconds_sum|delay_seconds|lag_seconds": "s",
    r"\) / \(.* > 0\)": "percentunit",
    r"process_cpu_seconds_total": "percentunit",  # of a core
    r"process_resident_memory_bytes": "bytes",
    r"rate\(chaosapi_(dependency|pool)": "suffix: calls/s",
    r"^sum by \(handler\) \(rate\(http_requests_total[^/]*$": "short",  # the title says: requests per second
    r"rate\(|planned_rate": "reqps",
    r"store_up": "bool_on_off",
    r"max\(chaosapi_revision\{[^}]*\}\) or|loadtest_info|^2 \* max by \(alertname": "none",
    r"": "short",
}

RUNBOOKS = {path.stem for path in (DASHBOARDS.parent / "alerts" / "runbooks").iterdir()}

each_board = pytest.mark.parametrize("name", BOARDS)


def test_the_checked_in_json_is_fresh(tmp_path: Path) -> None:
    """`python dashboards/generate.py` would write exactly the files that are checked in."""
    subprocess.run([sys.executable, DASHBOARDS / "generate.py", tmp_path], check=True, timeout=patience(60))
    fresh = {path.relative_to(tmp_path): path.read_text() for path in tmp_path.rglob("*.json")}
    assert len(fresh) == len(PATHS) + 1
    assert fresh == {path: (DASHBOARDS.parent / path).read_text() for path in fresh}


def test_productions_slos_show_a_day() -> None:
    """Its windows last hours and days; all else is as in the lab."""
    path = DASHBOARDS.parent / "kustomize" / "components" / "production-dashboards" / "slo.json"
    board = read(path)
    assert board["time"] == {"from": "now-24h", "to": "now"}
    assert board == BOARDS["slo"] | {"time": board["time"], "refresh": "1m"}


@each_board
def test_a_dashboard_can_be_provisioned_anywhere(name: str) -> None:
    """It has a uid and no id, and names its data source only through the variable."""
    board = BOARDS[name]
    assert board["uid"] == f"chaosapi-{name}"
    assert board.get("id") is None
    sources = [item["datasource"] for item in (*panels(board), *variables(board, "query"), *annotations(board))]
    assert all(source == {"type": "prometheus", "uid": "${datasource}"} for source in sources)
    assert [v["query"] for v in variables(board, "datasource")] == ["prometheus"]


@each_board
def test_panels_do_not_overlap(name: str) -> None:
    """Every panel has an id and a place of its own within Grafana's 24 columns; those of one line are equally high."""
    every = everything(BOARDS[name])
    assert len({panel["id"] for panel in every}) == len(every)
    places = [panel["gridPos"] for panel in every]
    assert all(place["x"] >= 0 and place["x"] + place["w"] <= 24 for place in places)
    for a, b in combinations(places, 2):
        apart = any(a[at] + a[size] <= b[at] or b[at] + b[size] <= a[at] for at, size in (("x", "w"), ("y", "h")))
        assert apart, (a, b)
        assert a["y"] != b["y"] or a["h"] == b["h"], (a, b)


@each_board
def test_lines_are_full(name: str) -> None:
    """Panels fill the width: no hole in the picture."""
    widths: dict[int, int] = {}
    for panel in everything(BOARDS[name]):
        widths[panel["gridPos"]["y"]] = widths.get(panel["gridPos"]["y"], 0) + panel["gridPos"]["w"]
    assert set(widths.values()) == {24}


@each_board
def test_every_panel_explains_itself(name: str) -> None:
    """Every panel has a title, a description, a unit and a text for no data; a course has a legend with numbers."""
    for panel in panels(BOARDS[name]):
        assert panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["noValue"], panel["title"]
        legends = [target["legendFormat"] for target in panel["targets"]]
        if panel["type"] != "state-timeline":
            assert len(set(legends)) == len(legends), panel["title"]
        if panel["type"] != "stat":
            assert len(panel["description"]) > 100, panel["title"]
            assert all(legends), panel["title"]
        if panel["type"] == "timeseries":
            assert panel["options"]["legend"]["calcs"], panel["title"]


@each_board
def test_units_say_what_the_queries_give(name: str) -> None:
    """Seconds, bytes, shares and rates: the same kind of number has the same unit everywhere."""
    for panel in panels(BOARDS[name]):
        for target in panel["targets"]:
            unit = next(unit for part, unit in UNITS.items() if re.search(part, target["expr"]))
            assert panel["fieldConfig"]["defaults"]["unit"] == unit, (panel["title"], target["expr"])


@each_board
def test_only_the_instructors_set_shows_faults(name: str) -> None:
    """The learner's dashboards neither mark faults nor show a metric of theirs, nor link to one that does."""
    board = BOARDS[name]
    asked = [target["expr"] for panel in panels(board) for target in panel["targets"]]
    assert any("chaosapi_fault" in expr or "chaosapi_held" in expr for expr in asked) == (name not in LEARNER)
    assert ("Faults" in [note["name"] for note in annotations(board)]) == (name not in LEARNER)
    assert board["tags"] == (["chaosapi"] if name in LEARNER else ["chaosapi-instructor"])
    assert [link["tags"] for link in board["links"] if link["type"] == "dashboards"] == [["chaosapi"]]


@each_board
def test_links_lead_to_a_dashboard_or_a_runbook_in_it(name: str) -> None:
    """By uid and panel id; the runbook is the text of the file."""
    uids = {board["uid"]: board for board in BOARDS.values()}
    links = [*BOARDS[name]["links"], *(link for panel in panels(BOARDS[name]) for link in panel.get("links", []))]
    links += [link for panel in panels(BOARDS[name]) for link in panel["fieldConfig"]["defaults"].get("links", [])]
    links += [link for _, link in overridden_links(name)]
    for link in links:
        if link["type"] == "link":
            found = re.match(r"/d/([\w-]+)\?(?:viewPanel=(\d+))?", link["url"])
            assert found
            assert found[1] in uids
            ids = {panel["id"]: panel for panel in everything(uids[found[1]])}
            if found[2] and link["title"] != "Runbooks":
                runbook = DASHBOARDS.parent / "alerts" / "runbooks" / f"{ids[int(found[2])]['title']}.md"
                assert ids[int(found[2])]["options"]["content"] == runbook.read_text()


@each_board
def test_the_alerts_that_fire_lead_to_their_runbooks(name: str) -> None:
    """Each alert with a runbook leads to its own, on every dashboard; the link on top leads to the list of all."""
    names = {panel["id"]: panel["title"] for panel in everything(BOARDS["slo"]) if panel["type"] == "text"}
    leads = [(alert, names[int(link["url"].partition("viewPanel=")[2])]) for alert, link in overridden_links(name)]
    assert sorted(leads) == [(alert, alert) for alert in sorted(RUNBOOKS)]
    (index,) = (
        panel for panel in everything(BOARDS["slo"]) if panel["title"] == "Runbooks" and panel["type"] == "text"
    )
    assert [link["url"] for link in BOARDS[name]["links"] if link["title"] == "Runbooks"] == [
        f"/d/chaosapi-slo?viewPanel={index['id']}"
    ]
    assert all(f"[{alert}](/d/chaosapi-slo?viewPanel=" in index["options"]["content"] for alert in RUNBOOKS)


def overridden_links(name: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the links of single values of a dashboard's panels, by the alert whose values have them."""
    overrides = [each for panel in panels(BOARDS[name]) for each in panel["fieldConfig"].get("overrides", [])]
    return [
        (override["matcher"]["options"].removeprefix("/^").removesuffix("\\b/"), link)
        for override in overrides
        for made in override["properties"]
        if made["id"] == "links"
        for link in made["value"]
    ]


def test_each_runbook_is_linked_from_a_panel_of_its_alert() -> None:
    """From at least one panel with the alert's value, one click leads to its runbook."""
    names = {panel["id"]: panel["title"] for panel in everything(BOARDS["slo"]) if panel["type"] == "text"}
    shown = [panel for board in BOARDS.values() for panel in panels(board)]
    urls = [link["url"] for panel in shown for link in panel.get("links", [])]
    linked = {names[int(url.partition("viewPanel=")[2])] for url in urls}
    assert linked == RUNBOOKS


@each_board
def test_a_click_on_a_route_keeps_the_other_variables(name: str) -> None:
    """The link to one route keeps the values of all other variables."""
    chosen = {variable["name"] for variable in BOARDS[name]["templating"]["list"]} - {"handler"}
    defaults = [panel["fieldConfig"]["defaults"] for panel in panels(BOARDS[name])]
    for url in (link["url"] for each in defaults for link in each.get("links", [])):
        assert "var-handler=${__field.labels.handler:percentencode}" in url
        assert set(re.findall(r"\$\{(\w+):queryparam\}", url)) == chosen, url


@pytest.mark.parametrize("profile", windows.NAMES)
def test_alerts_link_to_dashboards_by_variables_that_they_have(profile: str) -> None:
    """As far as an alert names one."""
    rules = yaml.safe_load((DASHBOARDS.parent / "alerts" / "rules" / f"{profile}.yml").read_text())
    links = [rule.get("annotations", {}).get("dashboard_url") for group in rules["groups"] for rule in group["rules"]]
    for link in filter(None, links):
        uid, _, arguments = link.removeprefix("/d/").partition("?")
        board = next(board for board in BOARDS.values() if board["uid"] == uid)
        known = {variable["name"] for variable in board["templating"]["list"]}
        assert set(re.findall(r"var-(\w+)=", arguments)) <= known, link


def test_runbooks_have_no_text_that_grafana_would_replace() -> None:
    """In a text panel, a dollar sign before the name of a variable, or before two underscores, stands for its value."""
    names = "|".join(variable["name"] for variable in BOARDS["slo"]["templating"]["list"])
    for panel in everything(BOARDS["slo"]):
        if panel["type"] == "text":
            assert not re.search(rf"\$\{{?({names}|__)", panel["options"]["content"]), panel["title"]


@each_board
def test_panels_of_success_and_failure_explain_000(name: str) -> None:
    """A connection that is closed without a response has no status: the description says how it counts."""
    for panel in panels(BOARDS[name]):
        asked = [target["expr"] for target in panel["targets"]]
        if any("status" in expr and "> 0)" in expr for expr in asked):
            assert "000" in panel["description"], panel["title"]


def test_the_golden_signals_are_on_the_first_screen() -> None:
    """Six numbers and six curves stand under what is wrong now, within 1080 pixels; the rest follows in rows."""
    board = BOARDS["golden-signals"]
    first = board["panels"][:14]
    six = ["RPS", "Success rate", "5xx error rate", "Average latency", "p95 latency", "p99 latency"]
    assert [panel["title"] for panel in first] == [
        "Service",
        "Alerts that fire",
        *six,
        *(f"{each} by route" for each in six),
    ]
    bottom = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in first)
    assert 96 + bottom * 38 <= 1080  # pixels above the grid with Grafana's menu, and of each of its rows
    rows = [panel["title"] for panel in board["panels"] if panel["type"] == "row"]
    assert rows == ["Statuses and saturation", "Dependencies", "Operations"]


@pytest.mark.parametrize(
    ("up", "requests", "word"),
    [
        (["1", "1"], "0+1", "Up"),
        (["1", "1"], "5+0", "Up, no traffic"),
        (["1", "0"], "0+1", "Partly down"),
        (["0", "0"], "5+0", "Down"),
        ([], "0+1", "Not scraped"),
    ],
)
def test_the_state_of_the_service(
    up: list[str], requests: str, word: str, tmp_path: Path, tools: dict[str, Path]
) -> None:
    """By what its replicas and their traffic are, in real PromQL."""
    panel = next(panel for panel in panels(BOARDS["golden-signals"]) if panel["title"] == "Service")
    values, absent = (mapping["options"] for mapping in reversed(panel["fieldConfig"]["defaults"]["mappings"]))
    texts = {float(value): result["text"] for value, result in values.items()}
    scraped = {f'up{{job="chaosapi", instance="{place}"}}': f"{value}+0x60" for place, value in enumerate(up)}
    served = {'http_requests_total{job="chaosapi", instance="0"}': f"{requests}x60"}
    assert word in {*texts.values(), absent["result"]["text"]}
    expr = substituted(panel["targets"][0]["expr"])
    expected = next((value for value, text in texts.items() if text == word), 0)
    if word not in texts.values():
        expr = f"({expr}) == bool ({expr})"  # NaN is not equal to itself
    case = {
        "interval": "1s",
        "input_series": [{"series": series, "values": values} for series, values in (scraped | served).items()],
        "promql_expr_test": [
            {
                "expr": expr,
                "eval_time": "60s",
                "exp_samples": [{"labels": "{}", "value": expected}],
            }
        ],
    }
    (tmp_path / "case.yml").write_text(yaml.safe_dump({"tests": [case]}))
    command: list[str | Path] = [tools["promtool"], "test", "rules", tmp_path / "case.yml"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=patience(60))
    assert ran.returncode == 0, ran.stdout + ran.stderr


@each_board
def test_numbers_are_of_now(name: str) -> None:
    """A number is the last value of a query that has one for every moment, so that none outlives its data.

    Without data it says so, in a colour that means neither good nor bad.
    """
    for panel in panels(BOARDS[name]):
        if panel["type"] == "stat":
            (target,) = panel["targets"]
            assert panel["options"]["reduceOptions"]["calcs"] == ["last"]
            assert (
                " or vector(" in target["expr"]
                or " or on () label_replace(vector(" in target["expr"]
                or target["instant"]
            )
            (absent,) = (
                each["options"] for each in panel["fieldConfig"]["defaults"]["mappings"] if each["type"] == "special"
            )
            assert absent["match"] == "null+nan"
            assert absent["result"] == {"text": panel["fieldConfig"]["defaults"]["noValue"], "color": "text"}


def test_each_route_of_the_shop_has_a_colour() -> None:
    """One that means neither good nor bad."""
    rates = next(panel for panel in panels(BOARDS["golden-signals"]) if panel["title"] == "RPS by route")
    colored = {override["matcher"]["options"] for override in rates["fieldConfig"]["overrides"]}
    assert colored == {route.handler for route in SHOP}


@each_board
def test_statuses_have_the_colour_of_their_class(name: str) -> None:
    """Good is green and bad is red on every dashboard, whatever statuses came first."""
    for panel in panels(BOARDS[name]):
        if [target["legendFormat"] for target in panel["targets"]] == ["{{status}}"]:
            colors = {
                override["matcher"]["options"]: override["properties"][0]["value"]["fixedColor"]
                for override in panel["fieldConfig"]["overrides"]
            }
            assert colors == {
                "/^2..$/": "green",
                "/^3..$/": "blue",
                "/^4..$/": "orange",
                "/^5..$/": "red",
                "/^000$/": "purple",
            }


def test_objectives_are_those_of_the_slos() -> None:
    """The lines that the panels draw are the objectives of alerts/slo.yaml."""
    slos = yaml.safe_load((assets.path("alerts") / "slo.yaml").read_text())["slos"]
    availability = next(slo["objective"] for slo in slos if slo["name"] == "availability") / 100
    latency = next(slo["sli"]["events"]["error_query"] for slo in slos if slo["name"] == "latency")
    lines = drawn("golden-signals")
    assert lines["Success rate by route"] == pytest.approx([availability])
    assert lines["5xx error rate by route"] == pytest.approx([1 - availability])
    assert lines["Average latency by route"] == lines["p95 latency by route"] == lines["p99 latency by route"]
    assert lines["p99 latency by route"] == drawn("traffic")["p99 latency, client and server"]
    assert f'le="{lines["p99 latency by route"][0]}"' in latency


def test_burn_rates_are_drawn_with_the_thresholds_of_every_profile() -> None:
    """The lines are the factors of the window pairs, which all profiles share, and each pair is a query of its own."""
    (queries,) = (panel["targets"] for panel in panels(BOARDS["slo"]) if panel["title"] == "How near each alert is")
    profiles = [windows.load(name) for name in windows.NAMES]
    for profile in profiles:
        assert sorted(drawn("slo")["Burn rate by window"]) == sorted(pair.factor for pair in profile.pairs)
        for pair, query in zip(profile.pairs, queries, strict=True):
            assert query["legendFormat"] == f"{pair.severity} at {pair.factor:g}×"
            assert query["expr"].endswith(f" / {pair.factor:g}")
            named = set(re.findall(r"ratio_rate\(([^)]+)\)", query["expr"])[0].split("|"))
            others = {
                windows.format_window(window) for other in profiles if other is not profile for window in other.windows
            }
            assert named - others == {windows.format_window(pair.long), windows.format_window(pair.short)}


def drawn(name: str) -> dict[str, list[Any]]:
    """Return where each panel of a dashboard draws lines."""
    return {
        panel["title"]: [step["value"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"][1:]]
        for panel in panels(BOARDS[name])
        if "thresholdsStyle" in panel["fieldConfig"]["defaults"].get("custom", {})
    }
