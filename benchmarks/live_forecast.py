"""The accuracy of forecasts, live: the forecasts of ten faults compared with their alerts in a running lab.

    python benchmarks/live_forecast.py

All ten are planned, forecast and created at once, and start one after the other (about eleven minutes; the lab stops
by itself). A run holds when every alert that it fires is fired, notified and resolved within a scrape, an evaluation
and group_wait of the forecast; fails if fewer than nine do. Alerts that go on into later runs belong to the run in
which they began; a resolution that the benchmark does not live to see is left out.
"""

import argparse
import json
import os
import re
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import _numbers
import httpx2
from rich.console import Console
from rich.table import Table

from chaosapi import assets
from chaosapi.cli import recorded_traffic
from chaosapi.cli.prometheus_reader import PrometheusReader
from chaosapi.faults.fault import Fault, Record
from chaosapi.forecast import replay, score
from chaosapi.forecast.model import ForecastModel
from chaosapi.forecast.monitoring import default_monitoring
from chaosapi.forecast.scorecard import Score, ScoredAlert
from chaosapi.forecast.traffic import Traffic
from chaosapi.lab import stack
from chaosapi.lab.ports import Ports, url
from chaosapi.lab.stack import Lab
from chaosapi.slo import spec

CALM = 10.0
CHECKOUT = {"routes": ["/api/checkout"]}
BROWSING = {"routes": ["/api/products", "/api/products/{product_id}", "/api/search"]}
"""Four fifths of the traffic. Together with the rest, chance would decide when a dozen checkouts per second page."""
CONSTANT = {"type": "constant", "value": "400ms"}
# Weak ones first, while long windows are cold: later they remember what has been, and only the short ones decide.
Run = tuple[str, float, float, dict[str, Any]]
RUNS: list[Run] = [
    ("error 5 %", 35, 40, {"effect": {"type": "error"}, "rate": 0.05}),
    ("latency over the SLO", 20, 25, {"effect": {"type": "latency", "distribution": CONSTANT}}),
    ("checkout only", 25, 40, {"effect": {"type": "error"}, "target": CHECKOUT}),
    ("error 20 %", 20, 40, {"effect": {"type": "error"}, "rate": 0.2, "target": BROWSING}),
    ("reset 30 %", 20, 40, {"effect": {"type": "reset"}, "rate": 0.3, "target": BROWSING}),
    ("hang 20 %", 20, 40, {"effect": {"type": "hang", "at_most": "800ms"}, "rate": 0.2, "target": BROWSING}),
    (
        "ramp to 50 %",
        30,
        40,
        {"effect": {"type": "error"}, "rate": 0.5, "target": BROWSING, "shape": {"type": "ramp", "up": "20s"}},
    ),
    (
        "pulse 60 %",
        40,
        40,
        {
            "effect": {"type": "error"},
            "rate": 0.6,
            "target": BROWSING,
            "shape": {"type": "pulse", "on": "8s", "off": "12s"},
        },
    ),
    ("exception 40 %", 20, 40, {"effect": {"type": "exception"}, "rate": 0.4, "target": BROWSING}),
    ("error 100 %", 15, 60, {"effect": {"type": "error"}}),
]


def main() -> int:
    """Run the faults; return 1 if fewer than nine of ten forecasts hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=_numbers.positive, default=300, help="Requests/s.")
    parser.add_argument("--port", type=int, default=27000, help="The first of six free ports.")
    parser.add_argument("--json", type=Path, help="Write the scorecards into this file too.")
    given = parser.parse_args()
    console = Console(width=140)
    ports = Ports(*range(given.port, given.port + 6))
    with tempfile.TemporaryDirectory() as folder:
        options = stack.Options(Path(folder), "lab", ports, rate=given.rate, traffic=True)
        with stack.running(options, lambda text: console.print(text, style="dim")) as lab:
            scores = play(lab, given.rate, console, RUNS)
    if given.json:
        given.json.write_text(json.dumps([each.model_dump(mode="json") for each in scores], indent=2))
    console.print(table(scores))
    held = sum(holds(each) for each in scores)
    explained = sum(all(each.verdict in {"as forecast", "by chance"} for each in one.alerts) for one in scores)
    console.print(
        f"{held} of {len(scores)} runs hold, {explained} with what chance explains (two standard deviations); "
        f"load {os.getloadavg()[0]:.1f}"
    )
    return int(held < 0.9 * len(scores))


def play(lab: Lab, rate: float, console: Console, runs: Sequence[Run]) -> list[Score]:
    """Forecast, inject and score the faults."""
    flowing = f'sum(rate(http_requests_total{{job="chaosapi"}}[5s])) > {0.9 * rate}'
    lab.parts.wait_until(lambda: lab.prometheus.value(flowing) is not None, f"{rate:g} requests/s", timeout=120)
    began = time.time()
    planned = list(plan(runs))
    records = [
        Record(name=each.name or "", spec=each, created_at=began, revision=number)
        for number, each in enumerate(planned)
    ]
    for each in planned:
        lab.admin.create_fault(each.model_dump(mode="json", exclude_none=True))
    console.print(f"{len(planned)} faults created within {time.time() - began:.2f} s of the forecast's time 0")
    end = max(record.ends_at for record in records) + runs[-1][2]
    lab.parts.wait_until(lambda: time.time() > end, "the end", timeout=end - time.time() + 60, every=1)
    shop = spec.load(assets.path("alerts") / "slo.yaml")
    answer = httpx2.get(f"{url(lab.ports.admin)}/admin/alerts", params={"limit": 1000}).raise_for_status().json()
    known = recorded_traffic.recorded_alerts(
        PrometheusReader(url(lab.ports.prometheus)), shop, began, time.time(), lab.interval
    )
    known = known.model_copy(update={"delivered": [recorded_traffic.delivery(each) for each in answer["alerts"]]})
    model = ForecastModel(planned, Traffic.of_shop(rate), shop, lab.profile, default_monitoring(lab.profile))
    return [
        score.score(name, replay.replay_fault(record, records, model), known, time.time())
        for (name, *_), record in zip(runs, records, strict=True)
    ]


def plan(runs: Sequence[Run]) -> Iterator[Fault]:
    """Return the faults in order."""
    after = CALM
    for name, lasts, calm, fault in runs:
        rest = {each: value for each, value in fault.items() if each != "shape"}
        schedule = {"start_after": after, "duration": lasts, "shape": fault.get("shape", {"type": "constant"})}
        label = re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")
        yield Fault.model_validate({"name": label, "schedule": schedule, **rest})
        after += lasts + calm


def holds(scored: Score) -> bool:
    """Return whether the facts match the forecast."""
    return all(each.verdict == "as forecast" for each in scored.alerts)


def table(scores: list[Score]) -> Table:
    """Show every alert: seconds since the start of its fault, forecast and fact."""
    headers = ("run", "alert", "fires", "expected range", "fact", "notified", "fact", "resolved", "fact", "verdict")
    made = Table(*headers, box=None)
    for scored in scores:
        for number, each in enumerate(scored.alerts):
            made.add_row("" if number else scored.fault, *row(each))
        if not scored.alerts:
            made.add_row(scored.fault, "none, as forecast")
    return made


def row(each: ScoredAlert) -> list[str]:
    """Show one alert."""

    def both(name: str) -> tuple[str, str]:
        return text(getattr(each.forecast, name, None)), text(getattr(each.fact, name, None))

    fires = both("firing")
    notified = both("notified")
    resolved = both("resolved")
    alert = f"{each.severity} {each.slo} {each.long_window}"
    return [alert, fires[0], f"{text(each.earliest)}…{text(each.latest)}", fires[1], *notified, *resolved, each.verdict]


def text(seconds: float | None) -> str:
    """Return a time as text."""
    return "-" if seconds is None else f"{seconds:.1f}"


if __name__ == "__main__":
    raise SystemExit(main())
