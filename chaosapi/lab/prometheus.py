from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import yaml

from chaosapi.clients.exchange import ready
from chaosapi.clients.prometheus import PrometheusClient
from chaosapi.errors import Invalid
from chaosapi.slo.spec import Spec

JOB: Final = "chaosapi"
LOADTEST: Final = "loadtest"
_GRAPH_PAGES: Final = ("/query", "/graph", "/classic/graph")
"""Of Prometheus 3, of 2, and the older one that some packages of 2 have instead."""


@dataclass(frozen=True)
class ScrapeTarget:
    """A scrape target, as host:port, and its job."""

    address: str
    job: str = JOB
    path: str = "/metrics"
    scheme: str = "http"

    @classmethod
    def of_url(cls, url: str, job: str = JOB) -> "ScrapeTarget":
        """Return the target of a URL such as http://127.0.0.1:8000/metrics."""
        parts = urlsplit(url)
        return cls(parts.netloc, job, parts.path, parts.scheme)

    @property
    def labels(self) -> dict[str, str]:
        """Return the labels that Prometheus adds to every series of the target."""
        return {"instance": self.address, "job": self.job}

    @property
    def scrape_config(self) -> dict[str, Any]:
        """Return the entry of `scrape_configs`; what is Prometheus' default is left out."""
        chosen = {"metrics_path": self.path, "scheme": self.scheme}
        usual = {"metrics_path": "/metrics", "scheme": "http"}
        return {
            "job_name": self.job,
            **{name: value for name, value in chosen.items() if value != usual[name]},
            "static_configs": [{"targets": [self.address]}],
        }


@dataclass(frozen=True)
class TruthTarget:
    """The metrics of a service's faults, which its admin API shows to an instructor.

    The series get the job and the instance of the service, so that one query can ask for both. Only `up` tells the two
    targets apart.
    """

    admin: str
    """The URL of the admin API."""
    service: ScrapeTarget
    token_file: Path | None = None

    @property
    def scrape_config(self) -> dict[str, Any]:
        """Return the entry of `scrape_configs`."""
        parts = urlsplit(self.admin)
        token = {"authorization": {"credentials_file": str(self.token_file)}} if self.token_file else {}
        return {
            "job_name": f"{self.service.job}-truth",
            "metrics_path": f"{parts.path.rstrip('/')}/admin/metrics",
            **({"scheme": parts.scheme} if parts.scheme != "http" else {}),
            **token,
            "static_configs": [{"targets": [parts.netloc], "labels": {"instance": self.service.address}}],
            "metric_relabel_configs": [{"target_label": "job", "replacement": self.service.job}],
        }


def job_of(spec: Spec) -> str:
    """Return the scrape job that the SLOs of one service are about; raises errors.Invalid for several."""
    jobs = spec.jobs or [JOB]
    if len(jobs) > 1:
        raise Invalid.field("slos", f"they are about the jobs {', '.join(jobs)}: write a file for each service")
    return jobs[0]


def config(
    *,
    target: ScrapeTarget,
    alertmanager: str,
    rules: Path,
    interval: float,
    truth: TruthTarget | None = None,
    loadtest: str | None = None,
) -> str:
    """Write prometheus.yml: scrape and evaluate every `interval` seconds; `loadtest` is host:port."""
    targets: list[ScrapeTarget | TruthTarget] = [target]
    if truth:
        targets.append(truth)
    if loadtest:
        targets.append(ScrapeTarget(loadtest, LOADTEST))
    step = f"{round(interval * 1000)}ms"
    return yaml.safe_dump(
        {
            "global": {"scrape_interval": step, "scrape_timeout": step, "evaluation_interval": step},
            "rule_files": [str(rules)],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]},
            "scrape_configs": [each.scrape_config for each in targets],
        },
        sort_keys=False,
    )


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
        "--enable-feature=exemplar-storage",
    ]


@dataclass(frozen=True)
class Rule:
    """A loaded rule: its name, its health (ok, err, unknown until evaluated) and its interval in seconds."""

    name: str
    health: str
    interval: float

    def fine(self, soon: float) -> bool:
        """Return whether it works; one that is evaluated less often than every `soon` seconds may still be unknown."""
        return self.health == "ok" or (self.health == "unknown" and self.interval > soon)


def rules(prometheus: PrometheusClient) -> list[Rule]:
    """Return every rule that is loaded; raises ClientError."""
    return [
        Rule(rule["name"], rule["health"], group["interval"])
        for group in prometheus.groups()
        for rule in group["rules"]
    ]


def graph_page(prometheus: PrometheusClient) -> str:
    """Return the path of the page that graphs a query, empty where the package has none, such as Debian's."""
    return next((page for page in _GRAPH_PAGES if prometheus.run(ready(page))), "")


def target_health(prometheus: PrometheusClient) -> dict[str, str]:
    """Return the health (up, down, unknown) of each target by its URL, those of load tests left out: they come and go.

    Raises ClientError.
    """
    found = prometheus.targets()
    return {target["scrapeUrl"]: target["health"] for target in found if target["labels"]["job"] != LOADTEST}
