"""Write the past of the tutorial's fourth incident: twelve hours of the shop, in the last of which its fault acts.

A lab that is started with `--data-dir .lab/night` continues from there, so that nobody waits for long windows to fill.
"""

import re
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml
from fastapi.testclient import TestClient

from chaosapi import durations
from chaosapi.app import create_app
from chaosapi.lab import history, tools
from chaosapi.lab.history import HistorySeries
from chaosapi.lab.prometheus import ScrapeTarget
from chaosapi.settings import Settings
from chaosapi.slo import windows

ROOT: Final = Path(__file__).parent.parent
FOLDER: Final = ROOT / ".lab" / "night"
FAULT: Final = ROOT / "docs" / "incidents" / "4.yml"
TARGET: Final = "127.0.0.1:8000"
ACTED_S: Final = 1050.0
"""How long the fault has acted when the past ends: half a minute less than its ticket takes."""
RATE: Final = 20.0
"""Requests per second to all routes."""


@dataclass(frozen=True)
class BentSeries(HistorySeries):
    """A series that rises by `later` per second from `since` (seconds after the start) on."""

    since: float = 0.0
    later: float = 0.0

    def value_at(self, seconds: float) -> str:
        """Return the value, as text, so many seconds after the start of history."""
        added = (self.later - self.slope) * max(0.0, seconds - self.since)
        return HistorySeries(self.name, self.slope, self.start + added).value_at(seconds)


@dataclass(frozen=True)
class SlowRoute:
    """A route all of whose answers are late from some time on (seconds after the start)."""

    handler: str
    delay_s: float
    rate: float
    since: float

    def slow_down(self, series: HistorySeries) -> HistorySeries:
        """Return the series with the fault in it, unchanged where the fault changes nothing."""
        if f'handler="{self.handler}"' not in series.name or not series.slope:
            return series
        bound = re.search(r'le="([^"]+)"', series.name)
        if bound and float(bound[1]) < self.delay_s:
            return BentSeries(series.name, series.slope, series.start, self.since, later=0.0)
        if "_sum{" in series.name:
            later = series.slope + self.rate * self.delay_s
            return BentSeries(series.name, series.slope, series.start, self.since, later)
        return series


def write(folder: Path, target: str, promtool: Path) -> None:
    """Write the past of a target (host and port) into Prometheus' data folder."""
    with TestClient(create_app(Settings()), base_url="http://localhost:8000") as client:
        exposition = client.get("/metrics").text
    times = history.sample_times(windows.load("lab"), time.time())
    length = times[-1] - times[0]
    rates = history.shop_rates(RATE)
    fault = yaml.safe_load(FAULT.read_text(encoding="utf-8"))
    (handler,) = fault["target"]["routes"]
    route = SlowRoute(
        handler,
        durations.parse(fault["effect"]["distribution"]["value"]),
        sum(rate for (_, each, _), rate in rates.items() if each == handler),
        length - ACTED_S,
    )
    healthy = history.healthy_series(exposition, rates, ScrapeTarget(target).labels, length)
    past = {header: list(map(route.slow_down, series)) for header, series in healthy.items()}
    history.import_history(history.openmetrics(past, times), promtool, folder)


def main() -> None:
    """Replace the folder by one with the past of the lab's usual address."""
    promtool = tools.ensure_programs("promtool", report=print)["promtool"]
    shutil.rmtree(FOLDER, ignore_errors=True)
    write(FOLDER / "prometheus", TARGET, promtool)
    sys.stdout.write("The night is written: start the lab with --data-dir .lab/night\n")


if __name__ == "__main__":
    main()
