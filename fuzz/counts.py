"""Compare what clients counted with receipts and metrics: `python -m fuzz.counts --requests 1000000 --workers 2`.

Mixed faults hit an app that has chaosapi installed, under a server with several workers. Clients send GET, HEAD and
POST, one by one, on connections that stay open and pipelined, and some leave before the answer. Every count must agree
exactly. Exits with 1 where one does not.
"""

import argparse
import asyncio
import contextlib
import random
import re
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from tests.servers import COMMANDS, Served, serving, until

APP: Final = "fuzz.counted_app:app"
FAULTS: Final[dict[str, dict[str, Any]]] = {
    "error": {"effect": {"type": "error"}, "rate": 0.2},
    "slow": {"effect": {"type": "latency", "distribution": {"type": "constant", "value": "2ms"}}, "rate": 0.3},
    "cut": {"effect": {"type": "truncate"}, "rate": 0.1},
    "bad": {"effect": {"type": "corrupt"}, "rate": 0.2},
    "reset": {"effect": {"type": "reset"}, "rate": 0.3},
    "raise": {"effect": {"type": "exception"}, "rate": 0.2},
    "held": {
        "effect": {"type": "latency", "distribution": {"type": "constant", "value": "1m"}, "cap": "2m"},
        "rate": 1,
    },
    "mixed-error": {"effect": {"type": "error", "status": 429}, "rate": 0.2},
    "mixed-raise": {"effect": {"type": "exception"}, "rate": 0.2},
    "mixed-bad": {"effect": {"type": "corrupt"}, "rate": 0.2},
}
"""By name; the part before a hyphen is the route."""
FIRST: Final = ["plain", "error", "slow", "cut", "bad"]
"""Routes where requests may follow: a cut answer ends the connection, and uvicorn drops the requests behind it."""
LAST: Final = ["raise", "mixed"]
"""Routes where none may follow: uvicorn closes the connection of an app that raises, whatever it serves by then."""
_PER_CONNECTION: Final = 20
_DEEPEST: Final = 8
"""How many requests a client pipelines at most."""
_PIPELINED: Final = 0.3
_NO_ANSWER: Final = "000"


@dataclass
class Counts:
    """What was counted, by a client or by the service."""

    answers: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """By method, route and status."""
    hits: Counter[str] = field(default_factory=Counter)
    """By fault."""

    def differences(self, other: "Counts") -> list[str]:
        """Return what differs, one line each."""
        lines = []
        for mine, theirs in ((self.answers, other.answers), (self.hits, other.hits)):
            keys = sorted({*mine, *theirs}, key=str)
            lines += [f"{key}: {theirs[key]}, clients saw {mine[key]}" for key in keys if mine[key] != theirs[key]]
        return lines


class Client:
    """Sends requests over one connection after another, and counts what comes back."""

    def __init__(self, url: str, seed: str, counts: Counts) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname, parts.port)
        self._dice = random.Random(seed)
        self._counts = counts
        self._number = 0
        self._seed = seed

    async def run(self, requests: int) -> None:
        """Send at least so many requests."""
        while self._number < requests:
            reader, writer = await asyncio.open_connection(*self._address)
            try:
                await self._use(reader, writer)
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()

    async def _use(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        kind = self._dice.random()
        if kind < 0.1:
            await self._leave(writer)
        elif kind < 0.3:
            await self._talk(reader, writer, ["reset"])
        else:
            for _ in range(self._dice.randint(1, _PER_CONNECTION)):
                depth = self._dice.randint(2, _DEEPEST) if self._dice.random() < _PIPELINED else 1
                if not await self._talk(reader, writer, self._dice.choices(FIRST, k=depth)):
                    return
            behind = self._dice.choices(FIRST, k=self._dice.randrange(3))
            await self._talk(reader, writer, [*behind, self._dice.choice(LAST)])

    async def _leave(self, writer: asyncio.StreamWriter) -> None:
        """Send a request that a fault holds, and disconnect."""
        method, message = self._request("held")
        writer.write(message)
        await writer.drain()
        await asyncio.sleep(self._dice.uniform(0, 0.02))
        self._counts.answers[method, "held", _NO_ANSWER] += 1
        self._counts.hits["held"] += 1

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, routes: list[str]) -> bool:
        """Send requests at once, and read the answers; return whether the connection is still open."""
        sent = [(route, *self._request(route)) for route in routes]
        writer.write(b"".join(message for _, _, message in sent))
        for route, method, _ in sent:
            try:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            except (asyncio.IncompleteReadError, ConnectionError):
                self._counts.answers[method, route, _NO_ANSWER] += 1
                if route == "reset":  # the only fault that leaves no answer
                    self._counts.hits["reset"] += 1
                return False
            self._counts.answers[method, route, head.split()[1]] += 1
            acted = re.search(r"x-chaos-fault: (.*)\r", head)
            self._counts.hits.update(acted[1].split(", ") if acted else ())
            length = re.search(r"content-length: (\d+)", head)
            try:
                await reader.readexactly(int(length[1]) if length and method != "HEAD" else 0)
            except (asyncio.IncompleteReadError, ConnectionError):
                return False
            if "connection: close" in head:
                return False
        return True

    def _request(self, route: str) -> tuple[str, bytes]:
        method = self._dice.choices(["GET", "HEAD", "POST"], [6, 2, 2])[0]
        self._number += 1
        lines = [
            f"{method} /{route}/{self._number} HTTP/1.1",
            "host: localhost",
            f"x-request-id: {self._seed}-{self._number}",
            *(["content-length: 4", "", "body"] if method == "POST" else ["", ""]),
        ]
        return method, "\r\n".join(lines).encode()


def by_receipts(served: Served) -> Counts:
    """Return the hits that the receipts name."""
    return Counts(hits=+Counter({name: _receipt(served, name)["injected"] for name in FAULTS}))


def by_metrics(served: Served) -> Counts:
    """Return the answers and the hits that the metrics have."""
    text = served.get("/metrics").text
    pattern = r'^http_requests_total\{handler="/(\w+)/\{number\}",method="(\w+)",status="(\d+)"\} (\S+)$'
    answers = {
        (method, route, status): int(float(count))
        for route, method, status, count in re.findall(pattern, text, re.MULTILINE)
    }
    text = served.get("/admin/metrics").text
    pattern = r'^chaosapi_fault_injected_total\{effect="\w+",fault="([\w-]+)"\} (\S+)$'
    hits = {name: int(float(count)) for name, count in re.findall(pattern, text, re.MULTILINE)}
    return Counts(+Counter(answers), +Counter(hits))


def _receipt(served: Served, name: str) -> dict[str, Any]:
    found: dict[str, Any] = served.get(f"/admin/faults/{name}").json()["receipt"]
    return found


async def _send(url: str, requests: int, clients: int, seed: int) -> Counts:
    counts = Counts()
    share = -(-requests // clients)
    await asyncio.gather(*(Client(url, f"{seed}-{number}", counts).run(share) for number in range(clients)))
    return counts


def campaign(served: Served, requests: int, seed: int, clients: int = 16) -> tuple[Counts, list[str]]:
    """Send requests to a server under faults; return what the clients counted, and what differs from that."""
    for name, fault in FAULTS.items():
        route = name.partition("-")[0]
        target = {"routes": [f"/{route}/{{number}}"]}
        served.change(
            "PUT", f"faults/{name}", json={**fault, "target": target, "seed": seed, "schedule": {"duration": "6h"}}
        )
    counts = asyncio.run(_send(served.url, requests, clients, seed))
    until(lambda: 'inprogress{handler="/held/{number}",method="GET"} 0.0' in served.get("/metrics").text)
    until(lambda: by_receipts(served).hits.total() >= counts.hits.total())
    time.sleep(1.5)  # whatever would be counted too often comes with the next heartbeat
    wrong = [f"receipt of {line}" for line in counts_of_hits(counts).differences(by_receipts(served))]
    wrong += [f"metric of {line}" for line in counts.differences(by_metrics(served))]
    for name in FAULTS:
        sent = sum(count for (_, route, _), count in counts.answers.items() if route == name.partition("-")[0])
        matched = _receipt(served, name)["matched"]
        if matched != sent:
            wrong.append(f"matched by {name}: {matched}, clients sent {sent}")
    return counts, wrong


def counts_of_hits(counts: Counts) -> Counts:
    """Return the hits alone."""
    return Counts(hits=counts.hits)


def main() -> int:
    """Run a campaign, print the counts, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--server", choices=list(COMMANDS), default="uvicorn")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(chosen.server, APP, Path(folder), workers=chosen.workers) as served,
    ):
        started = time.monotonic()
        counts, wrong = campaign(served, chosen.requests, chosen.seed)
        seconds = time.monotonic() - started
    statuses: Counter[str] = Counter()
    for (_, _, status), count in counts.answers.items():
        statuses[status] += count
    sys.stdout.write(f"{counts.answers.total()} requests in {seconds:.0f} s: {dict(sorted(statuses.items()))}\n")
    sys.stdout.write(f"hits: {dict(sorted(counts.hits.items()))}\n")
    sys.stdout.write("\n".join(wrong or ["every count agrees"]) + "\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
