from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx2
import yaml

JOB: Final = "chaosapi"
LOADTEST: Final = "loadtest"


def config(*, target: str, alertmanager: str, rules: Path, interval: float, loadtest: str | None = None) -> str:
    """Write prometheus.yml: scrape `target` and `loadtest` (host:port), evaluate `rules`, every `interval` seconds."""
    jobs = {JOB: target} | ({LOADTEST: loadtest} if loadtest else {})
    step = f"{round(interval * 1000)}ms"
    return yaml.safe_dump(
        {
            "global": {"scrape_interval": step, "scrape_timeout": step, "evaluation_interval": step},
            "rule_files": [str(rules)],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]},
            "scrape_configs": [
                {"job_name": job, "static_configs": [{"targets": [address]}]} for job, address in jobs.items()
            ],
        },
        sort_keys=False,
    )


def labels(target: str) -> dict[str, str]:
    """Return the labels that Prometheus adds to every series of the target."""
    return {"instance": target, "job": JOB}


def command(program: Path, *, config_file: Path, data: Path, listen: str) -> list[str]:
    """Return the command line that runs Prometheus; it keeps the whole month that `history` may hold."""
    return [
        str(program),
        f"--config.file={config_file}",
        f"--storage.tsdb.path={data}",
        "--storage.tsdb.retention.time=32d",
        f"--web.listen-address={listen}",
        # By default an alert that got lost on its way is sent again only after a minute.
        "--rules.alert.resend-delay=1s",
    ]


@dataclass(frozen=True)
class Alert:
    """An alert as Prometheus sees it now: its labels and its state, pending or firing."""

    labels: Mapping[str, str]
    state: str


@dataclass(frozen=True)
class Rule:
    """A loaded rule: its name, its health (ok, err, unknown until evaluated) and its interval in seconds."""

    name: str
    health: str
    interval: float

    def fine(self, soon: float) -> bool:
        """Return whether it works; one that is evaluated less often than every `soon` seconds may still be unknown."""
        return self.health == "ok" or (self.health == "unknown" and self.interval > soon)


class Prometheus:
    """A client of Prometheus' HTTP API; every method raises httpx2.HTTPError when it does not answer."""

    def __init__(self, http: httpx2.Client) -> None:
        self._http = http

    def ready(self) -> bool:
        """Return whether it serves queries."""
        try:
            return self._http.get("/-/ready").status_code == httpx2.codes.OK
        except httpx2.HTTPError:
            return False

    def targets(self) -> dict[str, str]:
        """Return the health (up, down, unknown) of each target by its URL; load tests come and go and are left out."""
        found = self._get("/api/v1/targets", state="active")["activeTargets"]
        return {target["scrapeUrl"]: target["health"] for target in found if target["labels"]["job"] != LOADTEST}

    def rules(self) -> list[Rule]:
        """Return every rule that is loaded."""
        return [
            Rule(rule["name"], rule["health"], group["interval"])
            for group in self._get("/api/v1/rules")["groups"]
            for rule in group["rules"]
        ]

    def alerts(self) -> list[Alert]:
        """Return the alerts that are pending or firing."""
        found = self._get("/api/v1/alerts")["alerts"]
        return [Alert(alert["labels"], alert["state"]) for alert in found]

    def value(self, expression: str) -> float | None:
        """Return the value of an expression with one result, None when it has none."""
        result = self._get("/api/v1/query", query=expression)["result"]
        return float(result[0]["value"][1]) if result else None

    def samples(self, selector: str) -> list[list[tuple[float, float]]]:
        """Return the stored (Unix seconds, value) samples of each series that a range selector finds."""
        result = self._get("/api/v1/query", query=selector)["result"]
        return [[(float(time), float(value)) for time, value in series["values"]] for series in result]

    def _get(self, path: str, **query: str) -> Any:
        answer = self._http.get(path, params=query)
        answer.raise_for_status()
        return answer.json()["data"]
