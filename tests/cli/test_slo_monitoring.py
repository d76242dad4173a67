"""The generated configuration for the user's Prometheus and Alertmanager, checked with promtool and amtool."""

import subprocess
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from chaosapi.cli import app

SLO = """
version: prometheus/v1
service: items
slos:
  - name: availability
    objective: 99.9
    sli:
      events:
        error_query: sum(rate(http_requests_total{job="items", status=~"5.."}[{{.window}}]))
        total_query: sum(rate(http_requests_total{job="items"}[{{.window}}]))
    alerting: {}
"""


def printed(*words: str) -> str:
    """Return the output of `chaosapi slo …`."""
    done = CliRunner().invoke(app, ["slo", *words])
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture
def slo(tmp_path: Path) -> str:
    """Return the path of an SLO file."""
    path = tmp_path / "slo.yml"
    path.write_text(SLO)
    return str(path)


@pytest.mark.parametrize("url", ["http://10.1.2.3:9000", "https://shop.example.com/monitoring/metrics"])
def test_promtool_accepts_the_scrape_job_and_the_rules(
    url: str, slo: str, tools: dict[str, Path], tmp_path: Path
) -> None:
    """The job is that of the SLOs' selectors."""
    rules = tmp_path / "rules.yml"
    rules.write_text(printed("rules", "--spec", slo))
    config = tmp_path / "prometheus.yml"
    config.write_text(printed("prometheus", url, "--spec", slo, "--rules", str(rules), "--interval", "15s"))
    done = subprocess.run([tools["promtool"], "check", "config", config], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 rule files found" in done.stdout
    (job,) = yaml.safe_load(config.read_text())["scrape_configs"]
    assert (job["job_name"], job["scrape_interval"]) == ("items", "15s")


def test_the_metrics_of_faults_get_the_job_and_the_instance_of_the_service(
    slo: str, tools: dict[str, Path], tmp_path: Path
) -> None:
    """One query can ask for both; the admin API has a port and a token of its own."""
    config = tmp_path / "prometheus.yml"
    admin = ["--admin-url", "http://10.1.2.3:9001", "--token-file", "/etc/token"]
    config.write_text(printed("prometheus", "http://10.1.2.3:9000", "--spec", slo, "--rules", "r.yml", *admin))
    check: list[str | Path] = [tools["promtool"], "check", "config", "--syntax-only", config]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    _, truth = yaml.safe_load(config.read_text())["scrape_configs"]
    assert (truth["job_name"], truth["metrics_path"]) == ("items-truth", "/admin/metrics")
    assert truth["static_configs"] == [{"targets": ["10.1.2.3:9001"], "labels": {"instance": "10.1.2.3:9000"}}]
    assert truth["metric_relabel_configs"] == [{"target_label": "job", "replacement": "items"}]
    assert truth["authorization"] == {"credentials_file": "/etc/token"}


def test_amtool_routes_the_alerts_to_the_webhook_and_to_the_user(
    slo: str, tools: dict[str, Path], tmp_path: Path
) -> None:
    """Alerts of other services keep their routes."""
    config = tmp_path / "alertmanager.yml"
    words = ["--spec", slo, "--receiver", "pager", "--token-file", "/etc/token"]
    config.write_text(printed("alertmanager", "http://10.1.2.3:9001", *words))
    done = subprocess.run([tools["amtool"], "check-config", config], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    hook = yaml.safe_load(config.read_text())["receivers"][1]["webhook_configs"][0]
    assert hook["url"] == "http://10.1.2.3:9001/hooks/alertmanager"
    assert hook["http_config"]["authorization"]["credentials_file"] == "/etc/token"

    def receivers(*labels: str) -> str:
        command: list[str | Path] = [tools["amtool"], "config", "routes", "test", f"--config.file={config}", *labels]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    assert receivers("service=items", "severity=page") == "chaosapi,pager"
    assert receivers("service=other", "severity=page") == "pager"


@pytest.mark.parametrize(
    ("labels", "matcher"),
    [("severity: critical", 'service = "items"'), ("service: other", 'sloth_service = "items"')],
)
def test_the_route_is_for_every_alert_of_the_file(labels: str, matcher: str, tmp_path: Path) -> None:
    """Its matcher is on a label that the file does not override."""
    path = tmp_path / "slo.yml"
    path.write_text(SLO.replace("alerting: {}", f"alerting: {{page_alert: {{labels: {{{labels}}}}}}}"))
    config = yaml.safe_load(printed("alertmanager", "http://10.1.2.3:9001", "--spec", str(path)))
    assert config["route"]["routes"][0]["matchers"] == [matcher]
    path.write_text(f"{SLO}---{SLO.replace('service: items', 'service: a.b')}")
    config = yaml.safe_load(printed("alertmanager", "http://10.1.2.3:9001", "--spec", str(path)))
    assert config["route"]["routes"][0]["matchers"] == ['service =~ "items|a\\.b"']


@pytest.mark.parametrize("command", [["prometheus", "--rules", "r.yml"], ["alertmanager"]])
def test_errors_are_on_one_line(command: list[str], slo: str) -> None:
    """A URL without a scheme, and a missing file."""
    done = CliRunner().invoke(app, ["slo", *command, "10.1.2.3:9000", "--spec", slo])
    assert done.exit_code == 2
    assert "write a URL with its scheme" in done.output
    done = CliRunner().invoke(app, ["slo", *command, "http://10.1.2.3:9000", "--spec", "none.yml"])
    assert done.exit_code == 1
    assert "none.yml" in done.output
