"""The texts of firing alerts, as rendered by promtool."""

import json
import re
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from chaosapi import assets

ALERTS = assets.path("alerts")
REQUESTS = 'http_requests_total{job="chaosapi", handler="/api/search", method="GET", status='

PAIRS = (
    ("page", "1m", "5s", "14.4", "1.727s", 120),
    ("page", "6m", "30s", "6", "21.82s", 720),
    ("ticket", "24m", "2m", "3", "1m 43s", 2880),
    ("ticket", "1h12m", "6m", "1", "5m 43s", 8640),
)


def _alert(
    severity: str, long: str, short: str, burn_rate: str, reset: str, seconds: int, *, left: str
) -> dict[str, Any]:
    told = {"page": "Paged", "ticket": "Ticketed"}[severity]
    return {
        "exp_labels": {
            "sloth_id": "shop-availability",
            "sloth_service": "shop",
            "sloth_slo": "availability",
            "sloth_severity": severity,
            "slo": "availability",
            "service": "shop",
            "team": "shop",
            "severity": severity,
            "long_window": long,
            "short_window": short,
            "burn_rate": burn_rate,
        },
        "exp_annotations": {
            "summary": "shop availability (99.9%) burns its 12-hour error budget 22.0× too fast",
            "description": "Burning the 12-hour error budget 22.0× too fast; at this pace a full one is gone in "
            f"32m 44s, and {left} of it is left. Over the last {short} 2.2% of all events went wrong; 0.1% may. "
            f"{told} by {long}/{short}: both windows burn more than {burn_rate}× too fast. "
            f"Once the errors stop, this alert resets after {reset}.",
            "runbook_url": "alerts/runbooks/ErrorBudgetBurn.md",
            "dashboard_url": f"/d/chaosapi-slo?var-slo=shop-availability&from=now-{seconds}s&to=now",
        },
    }


@pytest.mark.parametrize(
    ("busy", "at", "left", "pairs"),
    [("0+978x20", "20s", "0%", PAIRS), ("0 1000000000+978x79", "80s", "99.8%", PAIRS[:1])],
)
def test_an_alert_says_which_pair_how_fast_how_long_and_until_when(
    busy: str, at: str, left: str, pairs: Sequence[tuple[Any, ...]], tmp_path: Path, tools: dict[str, Path]
) -> None:
    """2.2 % of 99.9 % burns 22 times too fast: 12 h of budget last 32 min 44 s; each pair resets in its own time.

    With nothing but this the whole budget is gone; a billion good requests before keep most of it, and let only the
    quickest pair fire.
    """
    test = {
        "rule_files": [str(ALERTS / "rules" / "lab.yml")],
        "evaluation_interval": "1s",
        "tests": [
            {
                "interval": "1s",
                "input_series": [
                    {"series": REQUESTS + '"200"}', "values": busy},
                    {"series": REQUESTS + '"503"}', "values": "0+22x80"},
                ],
                "alert_rule_test": [
                    {
                        "eval_time": at,
                        "alertname": "ErrorBudgetBurn",
                        "exp_alerts": [_alert(*pair, left=left) for pair in pairs],
                    }
                ],
            }
        ],
    }
    (tmp_path / "test.yml").write_text(yaml.safe_dump(test))
    result = subprocess.run(
        [tools["promtool"], "test", "rules", tmp_path / "test.yml"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("profile", ["lab", "production"])
def test_every_alert_has_its_texts_and_its_links(profile: str) -> None:
    """The runbook is a path from the root of the repository; the dashboard is one that is there, from some time on."""
    groups = yaml.safe_load((ALERTS / "rules" / f"{profile}.yml").read_text())["groups"]
    alerts = [rule for group in groups for rule in group["rules"] if "alert" in rule]
    boards = {json.loads(path.read_text())["uid"] for path in assets.path("dashboards").glob("*.json")}
    assert {alert["alert"] for alert in alerts} == {path.stem for path in (ALERTS / "runbooks").iterdir()}
    for alert in alerts:
        texts = alert["annotations"]
        assert set(texts) == {"summary", "description", "runbook_url", "dashboard_url"}
        page = texts["runbook_url"].removeprefix("alerts/")
        assert (ALERTS / page).read_text().startswith(f"# {alert['alert']}\n")
        board, _, query = texts["dashboard_url"].removeprefix("/d/").partition("?")
        assert board in boards
        assert re.search(r"from=now-\d+[smh]&to=now$", query)
        assert alert["labels"]["severity"] in {"page", "ticket"}
        assert (alert["labels"]["service"], alert["labels"].get("team", "shop")) == ("shop", "shop")


def test_cause_alerts_name_the_route_and_the_value(tmp_path: Path, tools: dict[str, Path]) -> None:
    """Route and instance come from the series, and a route's braces do not break the link."""
    slow = 'http_request_duration_seconds_{}{{job="chaosapi", handler="/api/products/{{product_id}}", status="200"{}}}'
    parts = (
        ("bucket", ', le="0.5"', 0),
        ("bucket", ', le="1.0"', 10),
        ("bucket", ', le="+Inf"', 10),
        ("count", "", 10),
    )
    series = [{"series": slow.format(name, le), "values": f"0+{grows}x40"} for name, le, grows in parts]
    series += [
        {"series": f'chaosapi_{name}{{job="chaosapi", instance="shop-1"{more}}}', "values": values}
        for name, more, values in (
            ("queue_rejected_total", ', handler="/api/search"', "0+2.5x40"),
            ("event_loop_lag_seconds", "", "0.25x40"),
            ("store_up", "", "0x40"),
        )
    ]
    summaries = {
        "HighLatency": "/api/products/{product_id} is slow: p95 975ms",
        "CapacityExhausted": "shop-1 is full and refuses requests",
        "EventLoopLag": "shop-1 answers late: its event loop lags 250ms",
        "StoreDown": "shop-1 cannot reach the store of the faults",
    }
    assert _rendered(series, summaries, tmp_path, tools["promtool"]) == {
        "HighLatency": (
            summaries["HighLatency"],
            "var-handler=%2Fapi%2Fproducts%2F%7Bproduct_id%7D&from=now-1h&to=now",
        ),
        "CapacityExhausted": (summaries["CapacityExhausted"], "from=now-1h&to=now"),
        "EventLoopLag": (summaries["EventLoopLag"], "from=now-1h&to=now"),
        "StoreDown": (summaries["StoreDown"], "from=now-1h&to=now"),
    }


def _rendered(
    series: list[dict[str, str]], alerts: Iterable[str], folder: Path, promtool: Path
) -> dict[str, tuple[str, str]]:
    """Let promtool evaluate the lab's rules, and read from its complaints what it rendered: summary, link's query."""
    checks = [{"eval_time": "40s", "alertname": alert, "exp_alerts": []} for alert in alerts]
    case = {"interval": "1s", "input_series": series, "alert_rule_test": checks}
    rules = [str(ALERTS / "rules" / "lab.yml")]
    (folder / "test.yml").write_text(
        yaml.safe_dump({"rule_files": rules, "evaluation_interval": "1s", "tests": [case]})
    )
    result = subprocess.run(
        [promtool, "test", "rules", folder / "test.yml"], capture_output=True, text=True, check=False
    )
    told = result.stdout + result.stderr
    found = re.findall(r'alertname: (\w+), .*?dashboard_url="[^"?]*\?([^"]*)".*?summary="([^"]*)"', told, re.DOTALL)
    return {alert: (summary, query) for alert, query, summary in found}
