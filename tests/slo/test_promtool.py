import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chaosapi import errors
from chaosapi.slo import document, promtool, rules, windows
from chaosapi.slo.promtool import Traffic
from chaosapi.slo.spec import Spec
from chaosapi.slo.windows import Severity

SPEC = """\
version: prometheus/v1
service: shop
labels: {owner: 'the "A" team'}
slos:
  - name: availability
    objective: 99
    sli:
      events:
        error_query: sum(rate(requests{job="a", code="500"}[{{.window}}]))  # what went wrong
        total_query: sum(rate(requests{job="a"}[{{.window}}]))
    alerting: {}
"""
RAW = """\
      raw:
        error_ratio_query: sum(rate(requests{job="a", code="500"}[{{.window}}])) / sum(rate(requests[{{.window}}]))
"""
TRAFFIC = 'availability: {good: [\'requests{job="a", code="200"}\'], bad: [\'requests{job="a", code="500"}\']}'
LAB = windows.load("lab")

Change = Callable[[dict[str, Any]], None]
Judge = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def judge(tmp_path: Path, tools: dict[str, Path]) -> Judge:
    """Give a function that has promtool test the rules of a spec, changed or not, with the tests made for it."""

    def run(text: str = SPEC, severity: Severity = "page", change: Change = lambda _: None) -> Any:
        shop = document.parse(text, Spec, "slo.yaml")
        made = rules.groups(shop, LAB)
        for group in made["groups"]:
            for rule in group["rules"]:
                change(rule)
        tests = promtool.suite(shop, LAB, document.parse(TRAFFIC, Traffic, "traffic.yaml"), severity, "rules.yml")
        (tmp_path / "rules.yml").write_text(document.write(made, "a test"))
        (tmp_path / "tests.yml").write_text(document.write(tests, "a test"))
        command: list[str | Path] = [tools["promtool"], "test", "rules", tmp_path / "tests.yml"]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    return run


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["99.99", "99", "95"])
@pytest.mark.parametrize("severity", ["page", "ticket"])
def test_theory_holds_for_any_objective(judge: Judge, objective: str, severity: Severity) -> None:
    """Generous or strict, promtool sees every pair fire and reset when predicted."""
    result = judge(SPEC.replace("99", objective), severity)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.slow
def test_a_raw_ratio_is_never_nan_either(judge: Judge) -> None:
    """Without traffic the raw query divides zero by zero; the rule keeps that out."""
    text = SPEC[: SPEC.index("      events:")] + RAW + "    alerting: {}\n"
    result = judge(text)
    assert result.returncode == 0, result.stdout + result.stderr


def _slower(rule: dict[str, Any]) -> None:
    if rule.get("record") == "slo:sli_error:ratio_rate1m":
        rule["expr"] = rule["expr"].replace("[1m]", "[65s]")


def _stricter(rule: dict[str, Any]) -> None:
    rule["expr"] = rule["expr"].replace("> 14.4", "> 15")


def _one_window(rule: dict[str, Any]) -> None:
    if "alert" in rule:
        rule["expr"] = rule["expr"].split("\nand\n")[-1]


def _nan(rule: dict[str, Any]) -> None:
    rule["expr"] = rule["expr"].replace(" > 0)", ")")


def _another_label(rule: dict[str, Any]) -> None:
    if "alert" in rule:
        rule["labels"]["severity"] = "ticket"


def _patient(rule: dict[str, Any]) -> None:
    if "alert" in rule:
        rule["for"] = "8s"


@pytest.mark.slow
@pytest.mark.parametrize("change", [_slower, _stricter, _one_window, _nan, _another_label, _patient])
def test_rules_that_are_a_little_off_are_caught(judge: Judge, change: Change) -> None:
    """Window 8 % too long, burn rate 4 % too high, short window missing, NaN, wrong label, delay: promtool objects."""
    result = judge(change=change)
    assert result.returncode == 1
    assert "FAILED" in result.stdout + result.stderr


def test_an_slo_without_traffic_to_play_is_refused() -> None:
    """The tests cannot guess the series behind a query."""
    shop = document.parse(SPEC.replace("availability", "latency"), Spec, "slo.yaml")
    with pytest.raises(errors.Invalid, match="latency: the traffic file does not say"):
        promtool.suite(shop, LAB, document.parse(TRAFFIC, Traffic, "traffic.yaml"), "page", "rules.yml")


def test_tests_of_disabled_alerts_are_left_out() -> None:
    """What is not there cannot fire: only budget and silence are tested."""
    text = SPEC.replace("alerting: {}", "alerting: {page_alert: {disable: true}}")
    shop = document.parse(text, Spec, "slo.yaml")
    made = promtool.suite(shop, LAB, document.parse(TRAFFIC, Traffic, "traffic.yaml"), "page", "rules.yml")
    expected = [
        sample for case in made["tests"] for test in case.get("promql_expr_test", []) for sample in test["exp_samples"]
    ]
    assert expected
    assert not [sample for sample in expected if "ALERTS" in sample["labels"]]
