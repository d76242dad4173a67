import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chaosapi import errors
from chaosapi.slo import document, rules, spec, windows
from chaosapi.slo import promtool as made_for
from chaosapi.slo.promtool import TrafficFile

SPEC = """\
version: prometheus/v1
service: shop
labels: {owner: 'the "A" team'}
slos:
  - name: availability
    objective: 99
    sli:
      events:
        error_query: sum(rate(requests{job="a", code="500"}[{{.window}}])) # what went wrong
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
    """Return a function that runs promtool on the rules of a spec, changed or not, with their generated tests."""

    def run(text: str = SPEC, pair: str = "1m/5s", change: Change = lambda _: None, min_failures: int = 1) -> Any:
        specs = spec.parse(text, "slo.yaml")
        made = rules.groups(specs[0], LAB, min_failures)
        for group in made["groups"]:
            for rule in group["rules"]:
                change(rule)
        traffic = document.parse(TRAFFIC, TrafficFile, "traffic.yaml")
        tests = made_for.suite(specs, LAB, LAB.pair(pair), traffic, "rules.yml", min_failures)
        (tmp_path / "rules.yml").write_text(document.write(made, "a test"))
        (tmp_path / "tests.yml").write_text(document.write(tests, "a test"))
        command: list[str | Path] = [tools["promtool"], "test", "rules", tmp_path / "tests.yml"]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    return run


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["99.9999", "99.999", "99.995", "99.99", "99", "95"])
@pytest.mark.parametrize("pair", ["1m/5s", "1h12m/6m"])
def test_the_theory_holds_for_any_objective(judge: Judge, objective: str, pair: str) -> None:
    """For lax and strict objectives, quick and slow pairs fire and reset as predicted."""
    result = judge(SPEC.replace("99", objective), pair)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.slow
def test_a_raw_ratio_is_never_nan(judge: Judge) -> None:
    """Without traffic the raw query is 0/0, which the rule filters out."""
    text = SPEC[: SPEC.index("      events:")] + RAW + "    alerting: {}\n"
    result = judge(text)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.slow
def test_alerts_with_min_failures_are_silent_after_one_failure(judge: Judge) -> None:
    """With few requests one failure exceeds every threshold, but five are required; an outage still fires."""
    result = judge(min_failures=5)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.slow
def test_without_failures_the_budget_is_full(tmp_path: Path, promtool: Path) -> None:
    """Without a series of failures the remaining budget is 1, not absent."""
    made = rules.groups(spec.parse(SPEC, "slo.yaml")[0], LAB)
    (tmp_path / "rules.yml").write_text(document.write(made, "a test"))
    remaining = 'slo:period_error_budget_remaining:ratio{sloth_slo="availability"}'
    check = {"expr": f"sum({remaining})", "eval_time": "20s", "exp_samples": [{"labels": "{}", "value": 1}]}
    series = [{"series": 'requests{job="a", code="200"}', "values": "0+7x20"}]
    case = {"interval": "1s", "input_series": series, "promql_expr_test": [check]}
    tests = {"rule_files": ["rules.yml"], "evaluation_interval": "1s", "tests": [case]}
    (tmp_path / "tests.yml").write_text(document.write(tests, "a test"))
    result = subprocess.run(
        [promtool, "test", "rules", tmp_path / "tests.yml"], capture_output=True, text=True, check=False
    )
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


def _no_resets(rule: dict[str, Any]) -> None:
    rule["expr"] = rule["expr"].replace("rate(", "delta(")


def _another_label(rule: dict[str, Any]) -> None:
    if "alert" in rule:
        rule["labels"]["severity"] = "ticket"


def _patient(rule: dict[str, Any]) -> None:
    if "alert" in rule:
        rule["for"] = "8s"


@pytest.mark.slow
@pytest.mark.parametrize("change", [_slower, _stricter, _one_window, _nan, _no_resets, _another_label, _patient])
def test_slightly_wrong_rules_fail_the_tests(judge: Judge, change: Change) -> None:
    """A window 8 % too long, a burn rate 4 % too high, no short window, NaN, restarts, a wrong label, a delay."""
    result = judge(change=change)
    assert result.returncode == 1
    assert "FAILED" in result.stdout + result.stderr


def test_an_slo_without_test_traffic_is_refused() -> None:
    """A file that lists series has to list those of every SLO."""
    specs = spec.parse(SPEC.replace("availability", "latency"), "slo.yaml")
    with pytest.raises(errors.Invalid, match="latency: the traffic file does not list"):
        made_for.suite(specs, LAB, LAB.pair(), document.parse(TRAFFIC, TrafficFile, "traffic.yaml"), "rules.yml")


def test_two_services_may_have_slos_of_the_same_name() -> None:
    """The traffic file then names the service; the bare name is for all others."""
    specs = spec.parse(SPEC + "---\n" + SPEC.replace("service: shop", "service: cart"), "slo.yaml")
    text = TRAFFIC + "\n" + TRAFFIC.replace("availability", "cart-availability").replace("requests{", "carts{")
    traffic = document.parse(text, TrafficFile, "traffic.yaml")
    assert [traffic.of(each, each.slos[0]).good[0].split("{")[0] for each in specs] == ["requests", "carts"]


def test_disabled_alerts_have_no_tests() -> None:
    """Only budget and silence are tested."""
    text = SPEC.replace("alerting: {}", "alerting: {page_alert: {disable: true}}")
    traffic = document.parse(TRAFFIC, TrafficFile, "traffic.yaml")
    made = made_for.suite(spec.parse(text, "slo.yaml"), LAB, LAB.pair(), traffic, "rules.yml")
    expected = [
        sample for case in made["tests"] for test in case.get("promql_expr_test", []) for sample in test["exp_samples"]
    ]
    assert expected
    assert not [sample for sample in expected if 'alertname="ErrorBudgetBurn"' in sample["labels"]]
