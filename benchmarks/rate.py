"""The accuracy of rates: requested and achieved over 100,000 requests, compared with Envoy's fault filter.

Both are pressed by wrk, which counts the answers that are errors. What chance allows is the standard deviation of a
binomial: a fair coin lies within three of them but for one time in 370. chaosapi must also have said so itself, to the
request: its receipt is compared with what wrk has counted.
"""

import argparse
import math
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import _envoy
import _numbers
import _report
import _wrk
import httpx2
from _servers import running
from rich.console import Console
from rich.table import Table

RATES: Final = (0.001, 0.01, 0.05, 0.33, 0.6, 1.0)
PRODUCT: Final = "/api/products/p-0001"
FAR: Final = 4.0
"""Standard deviations: one of the five rates below 1 is farther off by chance once in 3,200 runs."""


def count(url: str, requests: int) -> tuple[int, int]:
    """Load a URL until a number of requests is reached; return the requests and the errors."""
    sent = 0
    hit = 0
    while sent < requests:
        load = _wrk.press(url, 2)
        if load.broken:
            sys.exit(f"{load.broken} requests got no answer")
        sent = sent + load.requests
        hit = hit + load.refused
    return sent, hit


def ours(url: str, rate: float, requests: int) -> tuple[int, int, bool]:
    """Return the counts, and whether the receipt agrees; wrk leaves up to one request per connection unanswered."""
    with httpx2.Client(base_url=url, timeout=30) as client:
        body = {"effect": {"type": "error"}, "rate": rate, "schedule": {"duration": "1h"}}
        client.put("/admin/faults/bench", json=body).raise_for_status()
        sent, hit = count(url + PRODUCT, requests)
        receipt = client.delete("/admin/faults/bench").raise_for_status().json()["receipt"]
    unseen = receipt["matched"] - sent
    return sent, hit, 0 <= receipt["injected"] - hit <= unseen


def main() -> int:
    """Measure all rates; exit with 1 if one of chaosapi's is farther off than chance allows, or a receipt is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--requests", type=_numbers.count, default=100_000, help="at each rate")
    requests = parser.parse_args().requests
    _wrk.ready()
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        server = stack.enter_context(running(folder / "log"))
        urls, envoy = stack.enter_context(_envoy.running(folder, [_envoy.abort(rate) for rate in RATES]))
        for pid in (server.pid, envoy):
            _wrk.pin(pid)
        for rate, url in zip(RATES, urls, strict=True):
            *counts, receipt = ours(server.url, rate, requests)
            for who, (sent, hit) in (("chaosapi", counts), ("Envoy", count(url, requests))):
                spread = math.sqrt(rate * (1 - rate) / sent)
                off = hit / sent - rate
                deviations = off / spread if spread else math.inf * off if off else 0.0
                found = {"who": who, "rate": rate, "sent": sent, "hit": hit, "off": off, "deviations": deviations}
                results.append({**found, "receipt": receipt} if who == "chaosapi" else found)
    table = Table("rate", "", "requests", "achieved", "off, points", "standard deviations", "receipt agrees")
    for each in results:
        agrees = {True: "yes", False: "NO", None: ""}[each.get("receipt")]
        figures = f"{each['sent']:,}", f"{each['hit'] / each['sent']:.3%}", f"{100 * each['off']:+.4f}"
        table.add_row(f"{each['rate']:.1%}", each["who"], *figures, f"{each['deviations']:+.2f}", agrees)
    Console(width=120).print(table)
    picture = _report.bars(
        "How far off the rate is, in what chance allows",
        {f"{each['who']}, {each['rate']:.1%}": abs(each["deviations"]) for each in results},
        "standard deviations",
    )
    _report.keep("rate", results, picture)
    fine = all(abs(each["deviations"]) < FAR and each["receipt"] for each in results if each["who"] == "chaosapi")
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
