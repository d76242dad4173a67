"""The cost of a scrape: one worker and eight, with 0 to 400 ended faults.

Both services run side by side and are scraped in turn, so that whatever else the machine does meets both alike; each
scrape has a connection of its own, so that different workers answer. Figures are medians. A service lists the faults
that live and the last hundred of those that had ended when one was made, here 150 in the end; so the goal: with eight
workers, a scrape takes no longer after 400 faults than after 200.
"""

import argparse
import sys
import tempfile
import time
from contextlib import ExitStack
from operator import itemgetter
from pathlib import Path
from statistics import median

import _numbers
import _report
import httpx2
from _servers import SERVE, running
from rich.console import Console
from rich.table import Table

WORKERS = (1, 8)
ENDED = (0, 100, 200, 400)
NOTHING = {"type": "latency", "distribution": {"type": "constant", "value": "0s"}}
SWEPT = 25
"""Seconds after which workers have dropped the faults that are no longer listed."""
FLAT = 1.25
"""The highest ratio of a scrape's duration after twice as many ended faults, with many workers."""
BATCH = 50
"""Faults that act at once; the limit is 100."""


def act(url: str, first: int, last: int) -> None:
    """Inject faults, send a few requests to each, and end the faults."""
    with httpx2.Client(base_url=url, timeout=60) as client:
        for batch in range(first, last, BATCH):
            for number in range(batch, min(last, batch + BATCH)):
                body = {"name": f"f-{number}", "effect": NOTHING}
                client.post("/admin/faults", json=body).raise_for_status()
            for _ in range(10):
                client.get("/api/products", headers={"connection": "close"}).raise_for_status()
            client.delete("/admin/faults?wait=10s").raise_for_status()


def scrape(url: str) -> tuple[float, int]:
    """Return the seconds that a scrape takes, and its bytes."""
    with httpx2.Client(base_url=url, timeout=60) as client:
        client.get("/healthz")
        started = time.perf_counter()
        size = len(client.get("/metrics").raise_for_status().content)
        return time.perf_counter() - started, size


def main() -> int:
    """Measure all cases; exit with 1 if a scrape grows with the ended faults."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--times", type=_numbers.count, default=200, help="scrapes for each figure")
    times = parser.parse_args().times
    results = []
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        urls = [
            stack.enter_context(running(Path(folder) / f"{workers}.log", (*SERVE, "--workers", str(workers)))).url
            for workers in WORKERS
        ]
        for before, ended in zip((0, *ENDED), ENDED, strict=False):
            for url in urls:
                act(url, before, ended)
            time.sleep(SWEPT)
            taken = [[scrape(url) for url in urls] for _ in range(times)]
            for workers, scrapes in zip(WORKERS, zip(*taken, strict=True), strict=True):
                seconds = median(took for took, _ in scrapes)
                results.append({"workers": workers, "ended": ended, "seconds": seconds, "bytes": scrapes[-1][1]})
    table = Table("workers", "faults ended", "scrape, ms", "of 1 worker", "of none ended", "kB")
    for each in sorted(results, key=itemgetter("workers")):
        alone = next(one["seconds"] for one in results if one["ended"] == each["ended"] and one["workers"] == 1)
        none = next(one["seconds"] for one in results if one["workers"] == each["workers"])
        figures = f"{1000 * each['seconds']:.1f}", f"{each['seconds'] / alone:.2f}", f"{each['seconds'] / none:.2f}"
        table.add_row(str(each["workers"]), str(each["ended"]), *figures, f"{each['bytes'] / 1000:.0f}")
    Console().print(table)
    shown = {f"{each['workers']} workers, {each['ended']} ended": 1000 * each["seconds"] for each in results}
    _report.keep("scrape", results, _report.bars("A scrape, median", shown, "ms"), times=times)
    many = [each["seconds"] for each in results if each["workers"] == WORKERS[-1]]
    return 1 if many[-1] >= FLAT * many[-2] else 0


if __name__ == "__main__":
    sys.exit(main())
