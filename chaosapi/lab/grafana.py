"""Grafana, where it is installed: provisioned with the datasource and the dashboards."""

import shutil
from pathlib import Path

import yaml

from chaosapi import durations

SHORTEST_INTERVAL = 5.0
"""The seconds between two values of a panel, at least."""


def find() -> list[str] | None:
    """Return the command that starts an installed Grafana, None when there is none."""
    for name, verb in (("grafana", ["server"]), ("grafana-server", [])):
        if program := shutil.which(name):
            return [program, *verb, *_homepath_option(Path(program))]
    return None


def _homepath_option(program: Path) -> list[str]:
    """Return Grafana's home, which holds its web pages: that of its package, or the folder above its bin/."""
    homes = (Path("/usr/share/grafana"), program.resolve().parents[1])
    return next((["--homepath", str(place)] for place in homes if (place / "public").is_dir()), [])


def provision(folder: Path, *, prometheus: str, interval: float, dashboards: Path, jaeger: str | None = None) -> None:
    """Write the files that Grafana reads at start: the datasources, and the dashboards in `dashboards`.

    `interval` is the seconds between scrapes, from which Grafana makes `$__rate_interval`: four times as much. Shorter
    than `SHORTEST_INTERVAL` it counts as that: within 4 s a route with one request a second has four samples, and its
    rates are noise.
    """
    exemplars = {"exemplarTraceIdDestinations": [{"name": "trace_id", "datasourceUid": "jaeger"}]} if jaeger else {}
    source = {
        "name": "Prometheus",
        "uid": "prometheus",
        "type": "prometheus",
        "access": "proxy",
        "url": prometheus,
        "isDefault": True,
        "jsonData": {"timeInterval": durations.format(max(interval, SHORTEST_INTERVAL)), **exemplars},
    }
    traces = {"name": "Jaeger", "uid": "jaeger", "type": "jaeger", "access": "proxy", "url": jaeger}
    sources = [source, traces] if jaeger else [source]
    provider = {
        "name": "chaosapi",
        "type": "file",
        "allowUiUpdates": True,
        "options": {"path": str(dashboards)},
    }
    for name, content in (("datasources", {"datasources": sources}), ("dashboards", {"providers": [provider]})):
        (folder / name).mkdir(parents=True, exist_ok=True)
        text = yaml.safe_dump({"apiVersion": 1, **content}, sort_keys=False)
        (folder / name / "chaosapi.yaml").write_text(text, encoding="utf-8")


def environment(*, port: int, provisioning: Path, data: Path) -> dict[str, str]:
    """Return settings for read access without a login on this machine, and without any telemetry."""
    return {
        "GF_SERVER_HTTP_ADDR": "127.0.0.1",
        "GF_SERVER_HTTP_PORT": str(port),
        "GF_PATHS_DATA": str(data),
        "GF_PATHS_LOGS": str(data / "log"),
        "GF_PATHS_PLUGINS": str(data / "plugins"),
        "GF_PATHS_PROVISIONING": str(provisioning),
        "GF_AUTH_ANONYMOUS_ENABLED": "true",
        "GF_AUTH_ANONYMOUS_ORG_ROLE": "Editor",
        "GF_AUTH_BASIC_ENABLED": "false",  # else admin:admin would do, in a header
        "GF_ANALYTICS_REPORTING_ENABLED": "false",
        "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
        "GF_LOG_MODE": "console",
    }
