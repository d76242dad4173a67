import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from chaosapi import assets
from chaosapi.lab import alertmanager, grafana, prometheus
from chaosapi.slo import windows

CHECKED_IN = assets.path("alerts") / "alertmanager.yml"


@pytest.mark.parametrize("profile", windows.NAMES)
def test_promtool_accepts_prometheus_yml(profile: str, tools: dict[str, Path], tmp_path: Path) -> None:
    """The generated configuration, with the profile's rules, is valid for the real Prometheus."""
    rules = assets.path("alerts") / "rules" / f"{profile}.yml"
    target = prometheus.ScrapeTarget("127.0.0.1:8000")
    truth = prometheus.TruthTarget("http://127.0.0.1:8001", target)
    text = prometheus.config(target=target, truth=truth, alertmanager="127.0.0.1:9093", rules=rules, interval=1)
    path = tmp_path / "prometheus.yml"
    path.write_text(text)
    done = subprocess.run([tools["promtool"], "check", "config", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 rule files found" in done.stdout


@pytest.mark.parametrize("token", [None, "s3cret: #x"])
def test_amtool_accepts_alertmanager_yml(token: str | None, tools: dict[str, Path], tmp_path: Path) -> None:
    """The configuration derived from the checked-in one is valid for the real Alertmanager."""
    path = tmp_path / "alertmanager.yml"
    path.write_text(alertmanager.config(CHECKED_IN.read_text(), webhook="http://127.0.0.1:1/hooks", token=token))
    done = subprocess.run([tools["amtool"], "check-config", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_alertmanager_keeps_the_inhibition_and_notifies_at_once() -> None:
    """The inhibition is the checked-in one; every route notifies at once; webhooks go to the lab with its token."""
    source = {
        "route": {"receiver": "a", "group_wait": "30s", "routes": [{"receiver": "b", "group_interval": "5m"}]},
        "inhibit_rules": [{"source_matchers": ["x=1"], "target_matchers": ["y=2"], "equal": ["slo"]}],
        "receivers": [{"name": "a", "webhook_configs": [{"url_file": "/secret"}]}, {"name": "b"}],
    }
    made = yaml.safe_load(alertmanager.config(yaml.safe_dump(source), webhook="http://lab/hook", token="t"))
    assert made["inhibit_rules"] == source["inhibit_rules"]
    for route in (made["route"], made["route"]["routes"][0]):
        assert (route["group_wait"], route["group_interval"]) == ("0s", "1s")
    hook: dict[str, Any] = made["receivers"][0]["webhook_configs"][0]
    assert hook == {
        "url": "http://lab/hook",
        "send_resolved": True,
        "http_config": {"authorization": {"type": "Bearer", "credentials": "t"}},
    }


def test_grafana_is_provisioned_with_prometheus_and_the_dashboards(tmp_path: Path) -> None:
    """The datasource is the lab's Prometheus, and the dashboard folder holds the checked-in JSON."""
    dashboards = assets.path("dashboards")
    grafana.provision(tmp_path, prometheus="http://127.0.0.1:9090", interval=5, dashboards=dashboards)
    source = yaml.safe_load((tmp_path / "datasources" / "chaosapi.yaml").read_text())
    assert source["apiVersion"] == 1
    assert source["datasources"][0]["url"] == "http://127.0.0.1:9090"
    assert source["datasources"][0]["isDefault"]
    assert source["datasources"][0]["jsonData"] == {"timeInterval": "5s"}
    provider = yaml.safe_load((tmp_path / "dashboards" / "chaosapi.yaml").read_text())
    assert provider["apiVersion"] == 1
    assert list(Path(provider["providers"][0]["options"]["path"]).glob("*.json"))


@pytest.mark.parametrize(("name", "verb"), [("grafana", ["server"]), ("grafana-server", [])])
def test_grafana_is_found_by_either_name(
    name: str, verb: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both names of the program are known, and its home path is passed; without the program there is no Grafana."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "public").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert grafana.find() is None
    (tmp_path / "bin" / name).touch(mode=0o755)
    assert grafana.find() == [str(tmp_path / "bin" / name), *verb, "--homepath", str(tmp_path)]
