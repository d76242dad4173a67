"""A service under load and faults, scraped by two versions of Prometheus, each with one profile's rules."""

import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import yaml

from chaosapi import assets
from chaosapi.lab.prometheus import ScrapeTarget, TruthTarget
from tests.loadtests.processes import ENVIRONMENT, answers, free_port, wait_for
from tests.patience import patience

FAULTS: tuple[dict[str, Any], ...] = (
    {"name": "errors", "effect": {"type": "error", "status": 503}, "rate": 0.3},
    # Whom `errors` answered, this one lets off: they count as skipped.
    {"name": "preempted", "effect": {"type": "error", "status": 500}, "rate": 0.3},
    {
        "name": "slow",
        "effect": {"type": "latency", "distribution": {"type": "constant", "value": "400ms"}},
        "rate": 0.2,
    },
    {
        "name": "narrow",
        "effect": {
            "type": "capacity",
            "concurrency": 1,
            "queue": 1,
            "service_time": {"type": "constant", "value": "300ms"},
        },
        "target": {"routes": ["/api/search"]},
    },
    {"name": "pool", "effect": {"type": "capacity", "concurrency": 1}, "target": {"points": ["search-index"]}},
    {"name": "dependency", "effect": {"type": "error"}, "rate": 0.5, "target": {"points": ["db"]}},
)
Series = dict[str, Any]


@dataclass(frozen=True)
class Prometheus:
    """A client of one running Prometheus."""

    url: str

    def query(self, expr: str) -> list[Series]:
        """Run a query over the last ten seconds, as Grafana would for a panel, and return its series.

        NaN is how a panel's query says that it has no value.
        """
        now = time.time()
        span = {"query": expr, "start": str(now - 10), "end": str(now), "step": "1"}
        answer = httpx2.post(f"{self.url}/api/v1/query_range", data=span)
        assert answer.status_code == 200, (expr, answer.text)
        found = answer.json()["data"]["result"]
        for series in found:
            series["values"] = [[at, value] for at, value in series["values"] if value != "NaN"]
        return [series for series in found if series["values"]]

    def first(self, expr: str, at_least: int = 1, labels: Iterable[str] = ()) -> list[Series]:
        """Return the query's series as soon as there are enough of them, and each label is on one, or fail."""
        found: list[Series] = []

        def arrived() -> bool:
            found[:] = self.query(expr)
            seen = {label for series in found for label, value in series["metric"].items() if value}
            return len(found) >= at_least and seen.issuperset(labels)

        wait_for(arrived, expr)
        return found

    def catalogue(self) -> dict[str, set[str]]:
        """Return every metric, with the labels of its series."""
        answer = httpx2.get(f"{self.url}/api/v1/series", params={"match[]": '{__name__!=""}'}).raise_for_status()
        labels: dict[str, set[str]] = {}
        for series in answer.json()["data"]:
            labels.setdefault(series["__name__"], set()).update(series)
        return labels


@dataclass(frozen=True)
class Live:
    """The running stack: the metrics pages of the service and of the load test, and a Prometheus for each profile."""

    pages: Mapping[str, str]
    prometheus: Mapping[str, Prometheus]


@contextmanager
def live(programs: Mapping[str, Path], folder: Path, faults: Sequence[Mapping[str, Any]] = FAULTS) -> Iterator[Live]:
    """Run it all until the block ends; `programs` are the Prometheus of each profile."""
    shop = free_port()
    load = free_port()
    url = f"http://127.0.0.1:{shop}"
    pages = {"chaosapi": shop, "loadtest": load}
    python = [sys.executable, "-m"]
    with ExitStack() as stack:
        stack.enter_context(_running([*python, "chaosapi", "serve", "--host", "127.0.0.1", "--port", str(shop)]))
        wait_for(lambda: answers(f"{url}/readyz"), "the service")
        for fault in faults:
            httpx2.post(f"{url}/admin/faults", json=fault).raise_for_status()
        scenario = ["--scenario", "steady", "--rate", "30", "--duration", "1h", "--metrics-port", str(load)]
        locust = [
            "locust",
            "-f",
            str(assets.path("loadtests")),
            "-H",
            url,
            "--headless",
            "--only-summary",
            "--reports",
            "none",
        ]
        stack.enter_context(_running([*python, *locust, *scenario]))
        watching = {
            profile: stack.enter_context(_watching(program, profile, folder / profile, pages))
            for profile, program in programs.items()
        }
        shown = {job: f"http://127.0.0.1:{port}/metrics" for job, port in pages.items()}
        yield Live({**shown, "truth": f"{url}/admin/metrics"}, watching)


@contextmanager
def _watching(program: Path, profile: str, folder: Path, pages: Mapping[str, int]) -> Iterator[Prometheus]:
    rules = yaml.safe_load((assets.path("alerts") / "rules" / f"{profile}.yml").read_text())
    for group in rules["groups"]:
        group.pop("interval", None)  # a group of four minutes would be evaluated some time in the next four
    folder.mkdir()
    (folder / "rules.yml").write_text(yaml.safe_dump(rules))
    jobs: list[dict[str, Any]] = [
        {"job_name": job, "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]} for job, port in pages.items()
    ]
    service = ScrapeTarget(f"127.0.0.1:{pages['chaosapi']}")
    jobs.append(TruthTarget(f"http://{service.address}", service).scrape_config)
    often = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config = {"global": often, "rule_files": [str(folder / "rules.yml")], "scrape_configs": jobs}
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    port = free_port()
    files = [f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
    with _running([str(program), *files, f"--web.listen-address=127.0.0.1:{port}"]):
        wait_for(lambda: answers(f"http://127.0.0.1:{port}/-/ready"), "Prometheus")
        yield Prometheus(f"http://127.0.0.1:{port}")


@contextmanager
def _running(command: Sequence[str]) -> Iterator[None]:
    process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(patience(20))
