"""Attack the service with malformed requests: `python -m fuzz --requests 1000000 --seed 7 --store memory --workers 2`.

Exits with 1 if there are findings, and appends them to fuzz/out/findings.jsonl, each with its smallest request.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from itertools import chain
from pathlib import Path
from typing import Final

import uvloop

from fuzz import campaign, service
from fuzz.campaign import Ending, Life, Operator
from fuzz.diagnosis import Diagnosis
from fuzz.findings import Findings
from tests.store.conftest import RedisServer

OUT: Final = Path(__file__).parent / "out"
GOAL: Final = 250.0
"""The highest 99th percentile of the kill switch's latency on an admin port, in milliseconds."""
GROWTH: Final = 0.2
"""The highest growth of resident memory after the flood, relative to a warm service."""
_WARM: Final = 0.1
_REST: Final = 5.0
"""Seconds of rest before memory is measured."""
_LIVES: Final = 40
_LEFT: Final = 8
"""Descriptors and threads that each process may gain: small thread pools start on demand."""


@dataclass
class Report:
    """The report of a campaign."""

    findings: Findings = field(default_factory=Findings)
    kills: list[float] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    unhealthy: list[str] = field(default_factory=list)
    lives: list[Life] = field(default_factory=list)
    ending: Ending | None = None
    seconds: float = 0.0
    """Seconds during which requests were sent."""

    @property
    def sent(self) -> int:
        """Return the number of requests that were sent."""
        return sum(life.sent for life in self.lives)


class Fuzzer:
    """Starts services and attacks them until the requests are sent."""

    def __init__(self, arguments: argparse.Namespace, folder: Path, stack: ExitStack) -> None:
        self.arguments = arguments
        self.folder = folder
        self.report = Report()
        self._stack = stack
        self._numbers = 0

    def store(self) -> str:
        """Return the URL of a new, empty store."""
        self._numbers += 1
        if self.arguments.store == "sqlite":
            return f"sqlite:///{self.folder}/faults-{self._numbers}.db"
        if self.arguments.store == "redis":
            own = self.folder / f"redis-{self._numbers}"
            own.mkdir()
            redis = RedisServer(own)
            self._stack.callback(redis.kill)
            return redis.url
        return "memory://"

    def start(self) -> service.Service:
        """Start a service."""
        line = service.command(self.arguments.python, apart=self.arguments.admin_port, workers=self.arguments.workers)
        return service.start(line, self.folder, campaign.settings(self.store(), self.arguments.deny))

    async def run(self) -> None:
        """Attack; replace a service that no longer works."""
        deadline = time.monotonic() + 60 * self.arguments.minutes
        while self.report.sent < self.arguments.requests and len(self.report.lives) < _LIVES:
            if time.monotonic() > deadline:
                break
            await self._attack_service(deadline)

    async def _attack_service(self, deadline: float) -> None:
        target = self.start()
        report = self.report
        life = Life(target, campaign.grammar(target), report.findings, f"{self.arguments.seed}:{len(report.lives)}")
        report.lives.append(life)
        operator = Operator(target)
        watching = asyncio.create_task(operator.watch())
        try:
            left = self.arguments.requests - report.sent
            warm = min(round(_WARM * left), 30_000)
            await self._attack(life, warm, operator, deadline)
            rest = 1.0 if self.arguments.untimed else _REST
            before = await asyncio.to_thread(campaign.settle, target, rest) if not life.poison else None
            await self._attack(life, left - warm, operator, deadline)
            watching.cancel()
            if before and not life.poison:
                life.check_lists()
                after = await asyncio.to_thread(campaign.settle, target, rest)
                report.ending = Ending(target.metric("chaosapi_held_requests"), before, after, None)
        except (OSError, HTTPException) as error:
            life.poison = life.poison or f"the service does not answer: {error!r}"
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            status = service.stop(target.process)
            life.read_log()
        report.kills += operator.kills
        report.late += operator.late
        report.refused += operator.refused
        report.unhealthy += operator.unhealthy
        if report.ending:
            report.ending.status = status
        if status != 0 and not life.poison:
            report.findings.add("SIGTERM", f"exit status {status}")
        if life.poison:
            await asyncio.to_thread(self._find_culprit, life)

    async def _attack(self, life: Life, requests: int, operator: Operator, deadline: float) -> None:
        begun = time.monotonic()
        with suppress(TimeoutError):
            async with asyncio.timeout(max(1.0, deadline - begun)):
                await life.attack(requests, self.arguments.connections, operator)
        self.report.seconds += time.monotonic() - begun

    def _find_culprit(self, life: Life) -> None:
        """Find the request that broke the service."""
        kind = life.poison.partition(":")[0]
        known = (kind, "-") in self.report.findings.known
        found = self.report.findings.add(kind, life.poison)
        if not known and not self.arguments.quick:
            print(f"{life.poison}: looking for the request", flush=True)
            culprit = Diagnosis(self.start).culprit(list(life.accepted), kind)
            if culprit:
                found.message, found.smallest = culprit

    def shrink(self) -> None:
        """Minimize the requests with wrong responses."""
        wrong = [found for found in self.report.findings.known.values() if found.message and not found.smallest]
        if wrong and not self.arguments.quick:
            Diagnosis(self.start).shrink(wrong)


def percentile(values: list[float], share: float) -> float:
    """Return the value below which that share of the values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


def print_report(report: Report, arguments: argparse.Namespace) -> bool:
    """Print the report; return whether all checks passed."""
    statuses: Counter[str] = Counter()
    explained: Counter[str] = Counter()
    for life in report.lives:
        statuses += life.statuses
        explained += life.explained
    failed = sum(count for status, count in statuses.items() if status.startswith("5")) - explained.total()
    p50, p99, most = (percentile(report.kills, share) for share in (0.5, 0.99, 1.0))
    rate = report.sent / max(report.seconds, 0.1)
    print(f"{report.sent:,} requests in {report.seconds:.0f} s, {rate:,.0f}/s, seed {arguments.seed}")
    print(f"answers: {dict(statuses.most_common())}")
    print(f"5xx as injected: {dict(explained.most_common())}; others: {failed}")
    print(f"kill switches: {len(report.kills)}, refused {len(report.refused)}")
    print(f"kill switch, ms: p50 {p50:.1f}, p99 {p99:.1f}, max {most:.1f}")
    timed = chain.from_iterable(life.slowest.values() for life in report.lives)
    slowest = sorted(timed, key=lambda each: -each[0])
    for took, message in slowest[:5]:
        print(f"  {took:6.0f} ms {message.method} {message.route}, {len(message.data):,} bytes {message.note}")
    print(f"the fuzzer's own event loop was blocked for at most {max(life.own_lag for life in report.lives):.0f} ms")
    print(f"operator late by p99 {percentile(report.late, 0.99):.1f} ms; /healthz not 200: {len(report.unhealthy)}")
    verdicts = {
        "no unexpected 5xx": failed == 0,
        "kill switch never refused": not report.refused,
        f"kill switch p99 under {GOAL:g} ms": p99 < GOAL or not arguments.admin_port or arguments.untimed,
        "/healthz always 200": not report.unhealthy,
        "the service never had to be replaced": len(report.lives) == 1,
        "no other finding": not report.findings.known,
    }
    if ending := report.ending:
        before = ending.before
        after = ending.after
        print(f"resident memory {before.rss >> 20} → {after.rss >> 20} MiB, still held: {ending.held:g}")
        print(f"descriptors {before.fds} → {after.fds}, threads {before.threads} → {after.threads}")
        verdicts["memory back within 20 %"] = arguments.untimed or after.rss <= before.rss * (1 + GROWTH)
        most = _LEFT * arguments.workers
        verdicts["descriptors and threads back"] = (
            after.fds <= before.fds + most and after.threads <= before.threads + most
        )
        verdicts["nothing held"] = ending.held == 0
        print(f"exit status {ending.status}")
        verdicts["SIGTERM ends it with 0"] = ending.status == 0
    for found in sorted(report.findings.known.values(), key=lambda each: -each.count):
        print(f"  {found.count:6} × {found.wrong} · {found.where} · {found.got[:300]}")
        if found.smallest:
            print(f"           {found.smallest[:300]!r}")
    for name, held in verdicts.items():
        print(f"{'yes' if held else 'NO '}  {name}")
    return all(verdicts.values())


def main() -> int:
    """Run a campaign; return 1 if there are findings."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--store", choices=("memory", "sqlite", "redis"), default="memory")
    parser.add_argument("--workers", type=int, default=1)
    port = parser.add_mutually_exclusive_group()
    port.add_argument("--admin-port", action="store_true", default=True, help="a port for the control plane (default)")
    port.add_argument("--shared", dest="admin_port", action="store_false", help="one port for both planes")
    parser.add_argument("--connections", type=int, default=40)
    parser.add_argument("--minutes", type=float, default=60, help="end after so long, however much was sent")
    parser.add_argument("--deny", default="crash", help="effects that the service denies")
    parser.add_argument("--quick", action="store_true", help="do not look for the smallest request")
    parser.add_argument("--untimed", action="store_true", help="leave times and memory out of the verdict")
    parser.add_argument("--python", default=sys.executable, help="the interpreter whose chaosapi is attacked")
    arguments = parser.parse_args()
    if not arguments.admin_port and "pause" not in arguments.deny:
        arguments.deny += ",pause"  # a pause blocks the only event loop
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name, ExitStack() as stack:
        fuzzer = Fuzzer(arguments, Path(name), stack)
        uvloop.run(fuzzer.run())
        fuzzer.shrink()
        well = print_report(fuzzer.report, arguments)
    facts = {
        "seed": arguments.seed,
        "store": arguments.store,
        "workers": arguments.workers,
        "apart": arguments.admin_port,
    }
    fuzzer.report.findings.write(OUT / "findings.jsonl", facts)
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
