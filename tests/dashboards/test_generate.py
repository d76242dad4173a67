import json
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from chaosapi import assets

DASHBOARDS = assets.path("dashboards")
CHECKED_IN = sorted(DASHBOARDS.glob("*.json"))

each_dashboard = pytest.mark.parametrize("path", CHECKED_IN, ids=lambda path: path.stem)


def test_the_checked_in_json_is_fresh(tmp_path: Path) -> None:
    """`python dashboards/generate.py` would write exactly the files that are checked in."""
    subprocess.run([sys.executable, DASHBOARDS / "generate.py", tmp_path], check=True, timeout=60)
    fresh = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert fresh == {path.name: path.read_text() for path in CHECKED_IN}


@each_dashboard
def test_a_dashboard_can_be_provisioned_anywhere(path: Path) -> None:
    """It has a uid and no id, and names its data source only through the variable."""
    board = read(path)
    assert board["uid"] == f"chaosapi-{path.stem}"
    assert board.get("id") is None
    sources = [item["datasource"] for item in (*panels(board), *variables(board, "query"), *annotations(board))]
    assert all(source == {"type": "prometheus", "uid": "${datasource}"} for source in sources)
    assert [v["query"] for v in variables(board, "datasource")] == ["prometheus"]


@each_dashboard
def test_panels_do_not_overlap(path: Path) -> None:
    """Every panel has an id and a place of its own within Grafana's 24 columns."""
    everything = read(path)["panels"]
    assert len({panel["id"] for panel in everything}) == len(everything)
    places = [panel["gridPos"] for panel in everything]
    assert all(place["x"] >= 0 and place["x"] + place["w"] <= 24 for place in places)
    for a, b in combinations(places, 2):
        apart = any(a[at] + a[size] <= b[at] or b[at] + b[size] <= a[at] for at, size in (("x", "w"), ("y", "h")))
        assert apart, (a, b)


@each_dashboard
def test_every_panel_explains_itself(path: Path) -> None:
    """Every panel has a title, a description, a unit and a text for no data; a course has a legend with numbers."""
    for panel in panels(read(path)):
        assert panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["fieldConfig"]["defaults"]["noValue"], panel["title"]
        if panel["type"] == "timeseries":
            assert panel["options"]["legend"]["calcs"], panel["title"]
            assert len(panel["description"]) > 100, panel["title"]
            assert all("{{" in target["legendFormat"] for target in panel["targets"]), panel["title"]


def test_the_golden_signals_are_complete() -> None:
    """The six numbers stand on top; traffic, errors, latency and saturation follow in rows."""
    board = read(DASHBOARDS / "golden-signals.json")
    numbers = [panel["title"] for panel in panels(board) if panel["type"] == "stat"]
    assert numbers == ["Requests", "Success", "5xx", "Average", "p95", "p99"]
    rows = [panel["title"] for panel in board["panels"] if panel["type"] == "row"]
    assert rows == ["Traffic", "Errors", "Latency", "Saturation"]


def test_objectives_are_those_of_the_slos() -> None:
    """The lines that the panels draw are the objectives of alerts/slo.yaml."""
    slos = yaml.safe_load((assets.path("alerts") / "slo.yaml").read_text())["slos"]
    availability = next(slo["objective"] for slo in slos if slo["name"] == "availability") / 100
    latency = next(slo["sli"]["events"]["error_query"] for slo in slos if slo["name"] == "latency")
    board = read(DASHBOARDS / "golden-signals.json")
    lines = {
        panel["title"]: panel["fieldConfig"]["defaults"]["thresholds"]["steps"][-1]["value"]
        for panel in panels(board)
        if "thresholdsStyle" in panel["fieldConfig"]["defaults"].get("custom", {})
    }
    assert lines["Success rate by route"] == pytest.approx(availability)
    assert lines["5xx rate by route"] == pytest.approx(1 - availability)
    assert lines["p95 latency by route"] == lines["p99 latency by route"]
    assert f'le="{lines["p99 latency by route"]}"' in latency


def read(path: Path) -> dict[str, Any]:
    """Return the dashboard."""
    board: dict[str, Any] = json.loads(path.read_text())
    return board


def panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the panels that show something."""
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def variables(board: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    """Return the variables of a type."""
    return [variable for variable in board["templating"]["list"] if variable["type"] == kind]


def annotations(board: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the annotations."""
    return list(board["annotations"]["list"])
