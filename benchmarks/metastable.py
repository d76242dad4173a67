"""A retry storm keeps a service down after the spike has passed (Bronson et al., Metastable Failures, HotOS 2021).

The retry-storm scenario against a limited capacity: steady traffic at 60 % of it, a short spike of three times as much,
then as before. Clients give up after a second and try again at once, three times. One run leaves it at that; in the
other, retries are budgeted from a moment on: at most one for ten requests. Goodput is what clients get in time.
`--picture FILE` draws both. Without enough processor the clients stall, and a stall of a second heals the service: see
in what Locust says how late the latest start was.
"""

import argparse
import socket
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import _numbers
import httpx2
from _locust import locust, start_of
from _servers import running
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from rich.table import Table

from chaosapi.forecast import locust_scenarios

CAPACITY = {
    "type": "capacity",
    "concurrency": 5,
    "queue": 2000,
    "queue_timeout": "30s",
    "service_time": {"type": "normal", "mean": "200ms", "stddev": "10ms"},
}
"""25 requests a second."""
SCALE = 0.5
"""15 requests per second of demand, and 75 in the spike."""
BUDGET_AFTER = 0.6
"""The start of the retry budget, as a share of the scenario."""


class Second(NamedTuple):
    """Seconds since the start, and per second: requests due, sent (retries too), and answered well."""

    at: float
    due: float
    sent: float
    good: float


def run_scenario(log: Path, seconds: float, *arguments: str) -> list[Second]:
    """Run the scenario against a new service; return the clients' metrics, and print Locust's output."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = (
        "--scenario",
        "retry-storm",
        "--duration",
        f"{seconds:g}s",
        "--scale",
        f"{SCALE}",
        "--metrics-port",
        str(port),
        *arguments,
    )
    seen: list[Second] = []
    with running(log.with_suffix(".server")) as server:
        httpx2.put(f"{server.admin}/admin/faults/limit", json={"effect": CAPACITY}).raise_for_status()
        with locust(log, server.url, *options) as process:
            start = start_of(log, process)
            for number in range(int(seconds) + 1):
                time.sleep(max(0.0, start + number - time.time()))
                seen.append(Second(time.time() - start, *_counted(f"http://127.0.0.1:{port}/metrics")))
            process.wait(60)
    print(next(line for line in log.read_text().splitlines() if "were due" in line).partition(": ")[2], flush=True)
    return [
        Second(two.at, *((two[part] - one[part]) / (two.at - one.at) for part in (1, 2, 3)))
        for one, two in pairwise(seen)
    ]


def _counted(url: str) -> tuple[float, float, float]:
    due = 0.0
    retries = 0.0
    good = 0.0
    for family in text_string_to_metric_families(httpx2.get(url).text):
        for sample in family.samples:
            due += sample.value * (sample.name == "loadtest_planned_total")
            retries += sample.value * (sample.name == "loadtest_retries_total")
            fine = sample.labels.get("status", "").startswith("2")
            good += sample.value * (sample.name == "loadtest_requests_total" and fine)
    return due, due + retries, good


def goodput(seen: list[Second], begin: float, end: float) -> float:
    """Return the share of the requests due between two times that succeeded in that time."""
    within = [second for second in seen if begin <= second.at < end]
    return sum(second.good for second in within) / sum(second.due for second in within)


def draw(runs: dict[str, list[Second]], seconds: float, path: Path) -> None:
    """Draw both runs above each other."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(2, 1, sharex=True, sharey=True, figsize=(9, 6), layout="constrained")
    for axis, (name, seen) in zip(axes, runs.items(), strict=True):
        times = [second.at for second in seen]
        axis.plot(times, [second.sent for second in seen], color="tab:red", lw=1, label="sent, with retries")
        axis.plot(times, [second.due for second in seen], color="0.6", lw=1.5, label="wanted")
        axis.plot(times, [second.good for second in seen], color="tab:blue", lw=2, label="goodput")
        axis.axhline(25, color="0.3", ls=":", lw=1, label="capacity")
        axis.set(title=name, ylabel="requests/s", ylim=(0, None), xlim=(0, seconds))
        axis.grid(alpha=0.3)
    axes[1].axvline(BUDGET_AFTER * seconds, color="tab:green", ls="--", lw=1.5, label="retries are budgeted")
    axes[1].set_xlabel("seconds")
    axes[1].legend(loc="upper right", fontsize="small")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def main() -> int:
    """Run without and with a retry budget; exit with 1 if the outcome is not the one described above."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--seconds", type=_numbers.positive, default=60, help="how long the scenario is")
    parser.add_argument("--picture", type=Path, help="draw it into this file (needs Matplotlib)")
    given = parser.parse_args()
    seconds = given.seconds
    budgeted = ("--budget-after", f"{BUDGET_AFTER * seconds:.0f}s")
    with tempfile.TemporaryDirectory() as folder:
        runs = {
            "retries without a budget": run_scenario(Path(folder) / "without", seconds),
            "retries budgeted later": run_scenario(Path(folder) / "within", seconds, *budgeted),
        }
    spike_ends = max(at for at, _, peak in locust_scenarios.load_scenarios().SCENARIOS["retry-storm"].course if peak)
    phases = {"before": (0.05, 0.2), "after the spike": (spike_ends + 0.05, BUDGET_AFTER), "at the end": (0.85, 1.0)}
    found = {
        name: [goodput(seen, *(part * seconds for part in phase)) for phase in phases.values()]
        for name, seen in runs.items()
    }
    table = Table("goodput", *phases, title="answered in time, of those who asked")
    for name, shares in found.items():
        table.add_row(name, *(f"{share:.0%}" for share in shares))
    Console().print(table)
    if given.picture:
        draw(runs, seconds, given.picture)
    stuck, healed = found.values()
    expected = min(stuck[0], healed[0]) > 0.9 and max(stuck[1], stuck[2], healed[1]) < 0.5 and healed[2] > 0.9
    return 0 if expected else 1


if __name__ == "__main__":
    sys.exit(main())
