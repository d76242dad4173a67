"""The accuracy of scenarios: requests/s at the service compared with the plan, in bins of five seconds.

Each scenario runs once against an idle service and once with 2 s of latency on 30 % of the requests; nobody tries
again, since retries are no part of the plan. What has arrived is what the service has counted plus what it is working
on. A bin is right within 3 %, or one request where that is more.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import _numbers
import httpx2
from _locust import locust, read, start_of
from _servers import running
from rich.console import Console
from rich.table import Table

from chaosapi.forecast import locust_scenarios

OUT = Path(__file__).parent / "out"
BIN = 5.0
ALLOWANCE = 0.03
SLOW = {"effect": {"type": "latency", "distribution": {"type": "constant", "value": "2s"}}, "rate": 0.3}


class Bin(NamedTuple):
    """Planned and received requests of one bin; the plan is a range, because a reading takes some milliseconds."""

    planned: float
    least: float
    most: float
    arrived: float

    @property
    def off(self) -> float:
        """Return by how many requests the received are outside the range."""
        return max(self.least - self.arrived, self.arrived - self.most, 0.0)

    @property
    def right(self) -> bool:
        """Return whether the error is small enough."""
        return self.off <= max(ALLOWANCE * self.planned, 1.0)


def measure(name: str, url: str, seconds: float, log: Path) -> tuple[list[Bin], str]:
    """Run a scenario for some seconds; return its bins and Locust's output."""
    load = locust_scenarios.load_scenarios().SCENARIOS[name].load(duration=seconds)
    arguments = ("--scenario", name, "--duration", f"{seconds:g}s", "--retries", "none", "--exit-code-on-error", "0")
    with locust(log, url, *arguments) as process:
        start = start_of(log, process)
        edges = []
        for number in range(int(seconds / BIN) + 1):
            time.sleep(max(0.0, start + number * BIN - time.time()))
            before, after, sums = read(url)
            arrived = sums["http_requests_total"] + sums["http_requests_inprogress"]
            edges.append((load.arrived(before - start), load.arrived(after - start), arrived))
        process.wait(60)
    words = next(line for line in log.read_text().splitlines() if "were due" in line).partition(f"{name}: ")[2]
    return [
        Bin((last + end - first - begin) / 2, last - begin, end - first, after - before)
        for (first, begin, before), (last, end, after) in pairwise(edges)
    ], words


def main() -> int:
    """Measure all scenarios; exit with 1 if a bin is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--seconds", type=_numbers.positive, default=30, help="how long each scenario is pressed to")
    parser.add_argument("scenarios", nargs="*", help="all unless given")
    given = parser.parse_args()
    names = given.scenarios or list(locust_scenarios.load_scenarios().SCENARIOS)
    table = Table("scenario", "service", "planned", "arrived", "worst bin", "bins right", "Locust says")
    results = []
    fine = True
    for name in names:
        for slow in (False, True):
            with tempfile.TemporaryDirectory() as folder, running(Path(folder) / "server") as server:
                if slow:
                    httpx2.post(f"{server.admin}/admin/faults", json=SLOW).raise_for_status()
                bins, words = measure(name, server.url, given.seconds, Path(folder) / "locust")
            right = sum(each.right for each in bins)
            worst = max(each.off / max(each.planned, 1) for each in bins)
            fine &= right == len(bins)
            what = "30 % take 2 s" if slow else "idle"
            total = sum(each.planned for each in bins)
            arrived = sum(each.arrived for each in bins)
            table.add_row(name, what, f"{total:.0f}", f"{arrived:.0f}", f"{worst:.1%}", f"{right}/{len(bins)}", words)
            print(f"{name}, {what}: {right} of {len(bins)} bins right, {words}", flush=True)
            results.append({"scenario": name, "service": what, "bins": bins, "words": words})
    Console(width=180).print(table)
    print(f"load {os.getloadavg()[0]:.1f}")
    OUT.mkdir(exist_ok=True)
    (OUT / "scenarios.json").write_text(json.dumps(results, indent=1))
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
