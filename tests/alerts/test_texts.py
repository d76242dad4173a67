"""What a person reads when an alert fires, rendered by promtool to the last character."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from chaosapi import assets

ALERTS = assets.path("alerts")
REQUESTS = 'http_requests_total{job="chaosapi", handler="/api/search", method="GET", status='

PAIRS = (
    ("page", "1m", "5s", "14.4", "4.64s"),
    ("page", "6m", "30s", "6", "29.1s"),
    ("ticket", "24m", "2m", "3", "1m 58s"),
    ("ticket", "1h12m", "6m", "1", "5m 58s"),
)


def _alert(severity: str, long: str, short: str, burn_rate: str, reset: str) -> dict[str, Any]:
    return {
        "exp_labels": {
            "sloth_id": "shop-availability",
            "sloth_service": "shop",
            "sloth_slo": "availability",
            "sloth_severity": severity,
            "slo": "availability",
            "service": "shop",
            "severity": severity,
            "long_window": long,
            "short_window": short,
            "burn_rate": burn_rate,
        },
        "exp_annotations": {
            "summary": "shop availability (99.9%) burns its error budget at 200 times the sustainable rate",
            "description": f"Over the last {short} the error budget burnt at 200 times the rate that would spend it in "
            f"exactly 12h; the last {long} is over the limit of {burn_rate} too (pair {long}/{short}, {severity}). "
            f"At this pace a full budget lasts 3m 36s. Once the errors stop, this alert resets after {reset}.",
            "runbook_url": "alerts/runbooks/ErrorBudgetBurn.md",
        },
    }


def test_an_alert_says_which_pair_how_fast_how_long_and_until_when(tmp_path: Path, tools: dict[str, Path]) -> None:
    """20 % of 99.9 % burns 200 times too fast: a 12 h budget lasts 216 s, and each pair resets in its own time."""
    test = {
        "rule_files": [str(ALERTS / "rules" / "lab.yml")],
        "evaluation_interval": "1s",
        "tests": [
            {
                "interval": "1s",
                "input_series": [
                    {"series": REQUESTS + '"200"}', "values": "0+80x20"},
                    {"series": REQUESTS + '"503"}', "values": "0+20x20"},
                ],
                "alert_rule_test": [
                    {
                        "eval_time": "20s",
                        "alertname": "ErrorBudgetBurn",
                        "exp_alerts": [_alert(*pair) for pair in PAIRS],
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
def test_every_alert_links_a_runbook_that_is_there(profile: str) -> None:
    """The link is a path from the root of the repository."""
    groups = yaml.safe_load((ALERTS / "rules" / f"{profile}.yml").read_text())["groups"]
    alerts = [rule for group in groups for rule in group["rules"] if "alert" in rule]
    assert {alert["alert"] for alert in alerts} == {"ErrorBudgetBurn", "TargetAbsent"}
    for alert in alerts:
        page = alert["annotations"]["runbook_url"].removeprefix("alerts/")
        assert (ALERTS / page).read_text().startswith(f"# {alert['alert']}\n")
