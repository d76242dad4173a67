import json
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from chaosapi import assets

CONFIG = assets.path("alerts") / "alertmanager.yml"


def test_amtool_accepts_it_as_it_stands(tools: dict[str, Path]) -> None:
    """One receiver, one inhibition, no complaint."""
    result = subprocess.run([tools["amtool"], "check-config", CONFIG], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "1 inhibit rules" in result.stdout


@pytest.mark.parametrize("labels", [["severity=page", "slo=latency"], ["severity=ticket"], ["alertname=Other"]])
def test_every_alert_reaches_the_service(labels: list[str], tools: dict[str, Path]) -> None:
    """Pages, tickets and whatever else comes go to the webhook."""
    command: list[str | Path] = [
        tools["amtool"],
        "config",
        "routes",
        "test",
        f"--config.file={CONFIG}",
        "--verify.receivers=chaosapi",
    ]
    result = subprocess.run([*command, *labels], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.fixture
def alertmanager(tools: dict[str, Path], tmp_path: Path) -> Iterator[httpx2.Client]:
    """Give a client of a real Alertmanager that runs the checked-in configuration, its webhook turned into the void."""
    (tmp_path / "config.yml").write_text(CONFIG.read_text().replace("127.0.0.1:8000", "127.0.0.1:9"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command: list[str | Path] = [
        tools["alertmanager"],
        f"--config.file={tmp_path / 'config.yml'}",
        f"--storage.path={tmp_path / 'data'}",
        f"--web.listen-address={address}",
        "--cluster.listen-address=",
    ]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        with httpx2.Client(base_url=f"http://{address}/api/v2", timeout=5) as client:
            _eventually(lambda: _status(client), process)
            yield client
    finally:
        process.terminate()
        process.wait(20)


def _status(client: httpx2.Client) -> bool:
    try:
        return client.get("/status").is_success
    except httpx2.TransportError:
        return False


def _eventually(condition: Any, process: subprocess.Popen[bytes] | None = None) -> Any:
    end = time.monotonic() + 30
    while not (answer := condition()):
        assert time.monotonic() < end
        assert process is None or process.poll() is None
        time.sleep(0.05)
    return answer


def _labels(slo: str, severity: str, **other: str) -> dict[str, str]:
    named = {"slo": slo} if slo else {}
    return {"alertname": "ErrorBudgetBurn", "service": "shop", "severity": severity, **named, **other}


def test_a_page_silences_the_tickets_of_its_slo_and_nothing_else(alertmanager: httpx2.Client) -> None:
    """Other SLOs, other services, other pages come through; so does every ticket when the target is gone."""
    silenced = [_labels("latency", "ticket", long_window="1d"), _labels("latency", "ticket", long_window="3d")]
    heard = [
        _labels("latency", "page", long_window="1h"),
        _labels("latency", "page", long_window="6h"),
        _labels("availability", "ticket"),
        _labels("latency", "ticket") | {"service": "cafe"},
        _labels("", "page") | {"alertname": "TargetAbsent"},
    ]
    body = [{"labels": labels} for labels in silenced + heard]
    assert alertmanager.post("/alerts", json=body).is_success

    def inhibited() -> list[dict[str, str]]:
        return [alert["labels"] for alert in alertmanager.get("/alerts").json() if alert["status"]["inhibitedBy"]]

    _eventually(lambda: len(inhibited()) >= len(silenced))
    assert sorted(map(json.dumps, inhibited())) == sorted(json.dumps(dict(sorted(s.items()))) for s in silenced)
    assert len(alertmanager.get("/alerts").json()) == len(body)
