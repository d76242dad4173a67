import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from chaosapi import assets, errors
from chaosapi.slo import cause_alerts, document, windows

SHOP = cause_alerts.load(assets.path("alerts") / "causes.yaml")
LAB = windows.load("lab")
ONE = """\
service: shop
labels: {severity: ticket, team: a}
alerts:
  - alert: Full
    expr: max_over_time(full{job="a"}[{{.slow}}]) > 0
    for: "{{.quick}}"
    labels: {team: b}
    annotations: {summary: 'full for {{.quick}}: {{ $value }}'}
    played: [{series: 'full{job="a"}', well: 0, ill: 1}]
"""

Judge = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def judge(tmp_path: Path, tools: dict[str, Path]) -> Judge:
    """Return a function that runs promtool on the shop's rules, one of them changed, with their generated tests."""

    def run(alert: str = "", before: str = "", after: str = "") -> subprocess.CompletedProcess[str]:
        made = cause_alerts.group(SHOP, LAB)
        for rule in made["rules"]:
            if rule["alert"] == alert:
                assert before in f"{rule}"
                rule |= {"expr": rule["expr"].replace(before, after), "for": rule["for"].replace(before, after)}
                rule["labels"] = {name: value.replace(before, after) for name, value in rule["labels"].items()}
        (tmp_path / "rules.yml").write_text(document.write({"groups": [made]}, "a test"))
        (tmp_path / "tests.yml").write_text(document.write(cause_alerts.suite(SHOP, LAB, "rules.yml"), "a test"))
        command: list[str | Path] = [tools["promtool"], "test", "rules", tmp_path / "tests.yml"]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    return run


@pytest.mark.parametrize(
    "change",
    [
        ("HighLatency", "0.95", "0.97"),
        ("HighLatency", "> 0.5", "> 0.2"),
        ("HighLatency", "status!~", "status=~"),
        ("CapacityExhausted", "> 0", ">= 0"),
        ("EventLoopLag", "> 0.1", "> 0.05"),
        ("EventLoopLag", "> 0.1", "> 0.15"),
        ("StoreDown", "5s", "3s"),
        ("StoreDown", "5s", "8s"),
        ("StoreDown", "ticket", "page"),
    ],
    ids=" ".join,
)
def test_slightly_wrong_rules_fail_the_tests(judge: Judge, change: tuple[str, str, str]) -> None:
    """A slightly different threshold, another quantile, a shorter or longer `for`, another severity."""
    result = judge(*change)
    assert result.returncode == 1
    assert change[0] in result.stdout + result.stderr


def test_the_unchanged_rules_pass_the_tests(judge: Judge) -> None:
    """Also without the other rules of the profile."""
    result = judge()
    assert result.returncode == 0, result.stdout + result.stderr


def test_few_requests_fire_no_ticket(tmp_path: Path, promtool: Path) -> None:
    """Of 19 requests in a window the slowest one alone exceeds the 95th percentile; of 21 it does not."""
    series = 'http_request_duration_seconds_{}{{job="chaosapi", handler="/few", status="200"{}}}'
    parts = (("bucket", ', le="1.0"'), ("bucket", ', le="+Inf"'), ("count", ""))
    verdicts = {}
    for requests in (19, 21):
        grows = f"0+{requests / 30}x60"  # over the window of 30s
        case = {
            "interval": "1s",
            "input_series": [{"series": series.format(*part), "values": grows} for part in parts],
            "alert_rule_test": [{"eval_time": "60s", "alertname": "HighLatency", "exp_alerts": []}],
        }
        tests = {"rule_files": ["rules.yml"], "evaluation_interval": "1s", "tests": [case]}
        rules = document.write({"groups": [cause_alerts.group(SHOP, LAB)]}, "a test")
        (tmp_path / "rules.yml").write_text(rules)
        (tmp_path / "tests.yml").write_text(document.write(tests, "a test"))
        command: list[str | Path] = [promtool, "test", "rules", tmp_path / "tests.yml"]
        verdicts[requests] = subprocess.run(command, capture_output=True, check=False).returncode
    assert verdicts == {19: 0, 21: 1}


def test_the_profiles_windows_are_filled_in_and_prometheus_templates_are_kept() -> None:
    """The short windows of the two pages; the labels of an alert take precedence."""
    made = cause_alerts.group(_parsed(ONE), windows.load("production"))
    assert made == {
        "name": "causes-shop",
        "rules": [
            {
                "alert": "Full",
                "expr": 'max_over_time(full{job="a"}[30m]) > 0',
                "for": "5m",
                "labels": {"severity": "ticket", "team": "b"},
                "annotations": {"summary": "full for 5m: {{ $value }}"},
            }
        ],
    }


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        ("[{{.slow}}]", "[{{.window}}]", r"{{\.window}} is unknown: use one of {{\.quick}}, {{\.slow}}"),
        ("> 0\n", "> \n", "not PromQL"),
        ('"{{.quick}}"\n', "5m\n", "'{{.quick}}' or '{{.slow}}'"),
        ("alert: Full", "alert: too full", "should match pattern"),
        ("played:", "plays:", "unknown field"),
    ],
)
def test_an_error_is_reported_with_its_line(before: str, after: str, complaint: str) -> None:
    """Invalid windows, invalid queries, and so on."""
    with pytest.raises(errors.Invalid, match=rf"causes\.yaml:\d+: alerts\.0.*{complaint}"):
        _parsed(ONE.replace(before, after))


def test_a_spec_without_a_causes_file_has_no_cause_alerts(tmp_path: Path) -> None:
    """A causes.yaml next to another spec is read."""
    assert cause_alerts.load_from_folder_of(tmp_path / "slo.yaml") is None
    (tmp_path / "causes.yaml").write_text(ONE)
    assert cause_alerts.load_from_folder_of(tmp_path / "slo.yaml") == _parsed(ONE)


def _parsed(text: str) -> cause_alerts.Causes:
    return cause_alerts.parse(text, "causes.yaml")
