"""The highest honest rate of one Locust process on one core, compared with `wrk` or `hey` on the same endpoint.

The open loop is asked for more and more of a bare ASGI app on the other core. A rate is honest when nothing is missed
and 99 % of the answers are there within 25 ms of the planned start, for an app that takes less than one. The peer is a
closed loop with 32 connections: as much as the app gives, with nothing promised about when.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import _numbers
from _locust import FOLDER
from _servers import running
from rich.console import Console
from rich.table import Table

OUT = Path(__file__).parent / "out"
ON_TIME = 25.0
"""Milliseconds at the 99th percentile; the app itself takes less than one."""
STEP = 500
"""Requests/s by which the rate rises from try to try."""
BARE = """
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    status = 201 if scope["method"] == "POST" else 200
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"18")]})
    await send({"type": "http.response.body", "body": b'{"order_id":"o-1"}'})
"""


class Try(NamedTuple):
    """The result of a requested rate: p99 in ms, and the number of missed requests."""

    rate: int
    p99: float
    missed: int

    @property
    def honest(self) -> bool:
        """Return whether the rate was held."""
        return self.p99 < ON_TIME and not self.missed


def ask(url: str, rate: int, seconds: int, folder: Path) -> Try:
    """Run one Locust process on the first core at a rate."""
    command = ["taskset", "-c", "0", sys.executable, "-m", "locust", "-f", str(FOLDER), "-H", url, "--headless"]
    command += ["--only-summary", "--reports", "none", "--json-file", str(folder / "stats"), "--scenario", "steady"]
    command += ["--rate", str(rate), "--duration", f"{seconds}s", "--expect", f"p99<{ON_TIME:g}ms"]
    output = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds + 60).stderr
    p99 = re.search(r"p99<.*\(it was (\d+) ms\)", output)
    missed = re.search(r"due and ([\d,]+) missed", output)
    if not p99 or not missed:
        sys.exit(output)
    return Try(rate, float(p99[1]), int(missed[1].replace(",", "")))


def peer(url: str, seconds: int) -> tuple[str, float]:
    """Return the name and requests/s of wrk or hey, on the first core."""
    page = f"{url}/api/products/p-0001"
    peers = {"wrk": ["-t1", "-c32", f"-d{seconds}s"], "hey": ["-c", "32", "-z", f"{seconds}s"]}
    name = next(filter(shutil.which, peers), None)
    if not name:
        sys.exit("wrk or hey is missing: apt-get install wrk")
    command = ["taskset", "-c", "0", name, *peers[name], page]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rate = re.search(r"Requests/sec:\s+([\d.]+)", output)
    return name, float(rate[1]) if rate else 0.0


def main() -> int:
    """Raise the rate until Locust no longer holds it; print all results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--seconds", type=_numbers.count, default=10, help="how long each rate is asked for")
    given = parser.parse_args()
    tries: list[Try] = []
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "bare.py").write_text(BARE)
        command = ["taskset", "-c", "1", sys.executable, "-m", "uvicorn", "--app-dir", made, "bare:app", "--port", "0"]
        with running(folder / "log", [*command, "--no-access-log"]) as server:
            for rate in range(STEP, 20 * STEP, STEP):
                tries.append(ask(server.url, rate, given.seconds, folder))
                print(tries[-1], flush=True)
                if len(tries) > 2 and not tries[-1].honest and not tries[-2].honest:
                    break
            name, most = peer(server.url, given.seconds)
    best = max((each.rate for each in tries if each.honest), default=0)
    table = Table("asked for, requests/s", "p99, ms", "missed", "honest")
    for each in tries:
        row = (f"{each.rate:,}", f"{each.p99:.0f}", f"{each.missed:,}")
        table.add_row(*row, "yes" if each.honest else "NO")
    Console().print(table)
    print(f"one Locust process holds {best:,} requests/s on one core; {name} gets {most:,.0f} from the same app")
    print(f"load {os.getloadavg()[0]:.1f}")
    OUT.mkdir(exist_ok=True)
    (OUT / "locust_limit.json").write_text(json.dumps({"best": best, name: most, "tries": tries}, indent=1))
    return 0 if best else 1


if __name__ == "__main__":
    sys.exit(main())
