"""Promtool tests from the SLO file alone: which series its events increment."""

import subprocess
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from chaosapi.cli import app
from chaosapi.slo import events, spec
from chaosapi.slo.events import EventSeries

COUNTED = 'sum(rate(r{job="a"}[{{.window}}]))'
QUERIES = {
    "regex": ('sum(rate(r{job="a", code=~"5..|000"}[{{.window}}]))', COUNTED),
    "negated": ('sum(rate(r{job="a", code!~"(2|3|4).."}[{{.window}}]))', COUNTED),
    "anchored": ('sum(rate(r{job="a", code=~"^5[0-9]{2}$"}[{{.window}}]))', COUNTED),
    "filled": ('sum(rate(r{job="a", code="500"}[{{.window}}])) or on() vector(0)', f"{COUNTED} or vector(0)"),
    "good": (f'{COUNTED} - sum(rate(r{{job="a", code=~"2.."}}[{{{{.window}}}}]))', COUNTED),
    "late": (
        'sum(rate(d_count{job="a"}[{{.window}}])) - sum(rate(d_bucket{job="a", le="0.3"}[{{.window}}]))',
        'sum(rate(d_count{job="a"}[{{.window}}]))',
    ),
    "two-metrics": (
        'sum(rate(failed{job="a"}[{{.window}}]))',
        'sum(rate(fine{job="a"}[{{.window}}])) + sum(rate(failed{job="a"}[{{.window}}]))',
    ),
    "kept": (
        'sum by (job) (rate(r{job="a", code="500"}[{{.window}}])) or vector(0)',
        'sum by (job) (rate(r{job="a"}[{{.window}}]))',
    ),
    "without": (
        'sum without (code) (rate(r{job="a", code="500"}[{{.window}}]))',
        'sum without (code) (rate(r{job="a"}[{{.window}}]))',
    ),
}


def file(queries: dict[str, tuple[str, str]]) -> str:
    """Return an SLO file with labels of its own."""
    alerting = {
        "name": "Burn",
        "labels": {"team": ""},
        "page_alert": {"labels": {"severity": "critical", "x": "{{ 1 }}"}},
    }
    slos = [
        {
            "name": name,
            "objective": 99.9,
            "sli": {"events": {"error_query": error, "total_query": total}},
            "alerting": alerting,
        }
        for name, (error, total) in queries.items()
    ]
    return yaml.safe_dump({"version": "prometheus/v1", "service": "s", "slos": slos})


def derived(error: str, total: str) -> EventSeries:
    """Return the series of the events of an SLO with these queries."""
    return events.derive(spec.parse(file({"one": (error, total)}), "slo.yml")[0].slos[0])


def test_a_good_event_increments_the_total_and_a_bad_one_both() -> None:
    """By the values that the selectors require."""
    found = derived(*QUERIES["late"])
    assert found.bad == ['d_count{job="a"}']
    assert found.good == ['d_count{job="a"}', 'd_bucket{job="a", le="0.3"}']
    assert derived(*QUERIES["regex"]).bad == ['r{job="a", code="500"}']


@pytest.mark.parametrize("name", QUERIES)
def test_sums_of_rates_say_what_their_events_are(name: str) -> None:
    """Whatever selects them."""
    found = derived(*QUERIES[name])
    assert found.good
    assert found.bad
    assert found.good != found.bad


@pytest.mark.slow
def test_the_rules_of_a_file_pass_the_tests_that_are_made_from_it_alone(tmp_path: Path, promtool: Path) -> None:
    """Whatever its queries keep and however it labels its alerts; nothing needs to be written by hand."""
    queries = {name: QUERIES[name] for name in ("regex", "late", "kept")}  # promtool's time grows with their square
    (tmp_path / "slo.yml").write_text(file(queries))
    for words in (["rules"], ["tests", "--rules", "rules.yml"]):
        options = ["--profile", "lab", "--out", str(tmp_path / f"{words[0]}.yml")]
        done = CliRunner().invoke(app, ["slo", words[0], str(tmp_path / "slo.yml"), *words[1:], *options])
        assert done.exit_code == 0, done.output
    command: list[str | Path] = [promtool, "test", "rules", tmp_path / "tests.yml"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ("sum(avg_over_time(job:errors:rate5m[{{.window}}]))", "is no sum of rates"),
        ('sum(rate(r{job="a", code=~"[^0-8]+z"}[{{.window}}]))', "no value is known"),
    ],
)
def test_queries_that_do_not_say_it_are_refused_with_what_to_write(error: str, reason: str, tmp_path: Path) -> None:
    """And where to write it."""
    path = tmp_path / "slo.yml"
    path.write_text(file({"one": (error, COUNTED)}))
    done = CliRunner().invoke(app, ["slo", "tests", str(path)])
    assert done.exit_code == 1
    assert reason in done.output
    assert 'one: {good: [requests_total{code="200"}], bad: [requests_total{code="500"}]}' in done.output
    assert "--traffic" in done.output


def test_rules_of_other_services_link_only_to_what_they_are_given(tmp_path: Path) -> None:
    """The dashboards and runbooks of the shop are not theirs."""
    path = tmp_path / "slo.yml"
    path.write_text(file({"one": QUERIES["regex"]}))

    def annotations(*words: str) -> dict[str, dict[str, str]]:
        done = CliRunner().invoke(app, ["slo", "rules", str(path), *words])
        groups = yaml.safe_load(done.stdout)["groups"]
        return {rule["alert"]: rule["annotations"] for group in groups for rule in group["rules"] if "alert" in rule}

    for found in annotations().values():
        assert set(found) == {"summary", "description"}
    assert "no Burn can fire" in annotations()["TargetAbsent"]["description"]
    linked = annotations("--grafana-url", "https://g.example.com", "--runbook-url", "https://r.example.com")
    assert linked["Burn"]["dashboard_url"].startswith("https://g.example.com/d/chaosapi-slo")
    assert linked["TargetAbsent"]["runbook_url"] == "https://r.example.com/alerts/runbooks/TargetAbsent.md"
