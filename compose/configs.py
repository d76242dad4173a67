"""Writes the lab's configuration as compose.yaml mounts it, beside this file: `python compose/configs.py [FOLDER]`."""

import sys
from pathlib import Path
from typing import Final

from chaosapi import assets
from chaosapi.lab import alertmanager, grafana, prometheus

TOKEN: Final = Path("/run/chaosapi/token")
"""Where the containers find the admin token."""
_INTERVAL: Final = 1.0  # seconds between scrapes, as in the lab profile of `chaosapi lab`


def write(folder: Path) -> None:
    """Write every file into `folder`; raises OSError where that is not possible."""
    target = prometheus.ScrapeTarget("chaosapi:8000")
    text = prometheus.config(
        target=target,
        truth=prometheus.TruthTarget("http://chaosapi:8001", target, TOKEN),
        alertmanager="alertmanager:9093",
        rules=Path("/etc/prometheus/rules/lab.yml"),
        interval=_INTERVAL,
        loadtest="locust:9646",
    )
    _write(folder / "prometheus.yml", text)
    source = (assets.path("alerts") / "alertmanager.yml").read_text(encoding="utf-8")
    text = alertmanager.config(source, webhook="http://chaosapi:8001/hooks/alertmanager", token=TOKEN)
    _write(folder / "alertmanager.yml", text)
    dashboards = Path("/var/lib/dashboards")
    grafana.provision(
        folder / "grafana",
        prometheus="http://prometheus:9090",
        interval=_INTERVAL,
        dashboards=dashboards,
        jaeger="http://jaeger:16686",
    )


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"# Made from the lab's by `make gen`.\n{text}", encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
