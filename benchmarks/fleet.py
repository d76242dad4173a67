"""The capacity of one Redis: its CPU time, traffic and memory for each replica and each change.

Replicas are simulated: the store's own objects and heartbeats, some in each of a few processes; one fault is live and
counts all the time. First they only live, then faults are changed at rising rates until the last replica is more than
a second behind, each time on more replicas. Where what Redis needs grows in a straight line, the first and the last
point give the price of a replica, and that tells how many changes a second one Redis can spread, at half of one
processor, to more of them than fit here. What lags first on this machine are the replicas, which share its processors.
Loopback only.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import _numbers
import _redis
import _report
import redis
import uvloop
from growth import verdict
from rich.console import Console
from rich.table import Table

from chaosapi.faults import changes
from chaosapi.faults.fault import Fault
from chaosapi.faults.state import AuditEntry
from chaosapi.store import store_from_url
from chaosapi.store.codec import MAX_AUDIT_ENTRIES

RATES = (20, 50, 100, 200, 400)
"""Rates of changes per second; the cost of a change is measured at the first rate."""
BEHIND = 1.0
SHARE = 0.5
REPLICAS = (1, 10, 25, 50)
BEYOND = (50, 100, 500, 1000)


@dataclass(frozen=True)
class Price:
    """The cost to Redis: CPU seconds and bytes sent, per second of idling and per change; bytes stored."""

    replicas: int
    idle_cpu: float
    idle_sent: float
    change_cpu: float
    change_sent: float
    memory: float
    audit: float
    """Bytes of one entry of the audit."""
    fastest: int
    """The highest rate of changes per second at which the last replica was less than a second behind."""


@contextmanager
def simulated(url: str, count: int, processes: int) -> Iterator[None]:
    """Run replicas until the block ends."""
    script = str(Path(__file__).parent / "_replicas.py")
    shares = [count // processes + (number < count % processes) for number in range(processes)]
    with ExitStack() as stack, redis.Redis.from_url(url) as client:
        for number, share in enumerate(shares):
            command = [sys.executable, script, url, str(number), str(share)]
            process = stack.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL))
            stack.callback(process.kill)
        deadline = time.monotonic() + 60
        while client.hlen("{chaosapi}:replicas") < count:
            if time.monotonic() > deadline:
                sys.exit("the replicas do not come up")
            time.sleep(0.1)
        yield


def spent(client: redis.Redis) -> tuple[float, float]:
    """Return the CPU seconds that Redis has used, and the bytes that it has sent."""
    facts: Mapping[str, float] = client.info()
    return facts["used_cpu_user"] + facts["used_cpu_sys"], facts["total_net_output_bytes"]


async def change(url: str, rate: int, seconds: float) -> int:
    """Change a fault at a rate; return the last revision."""
    store = store_from_url(url)
    await store.start()
    started = time.monotonic()
    revision = 0
    for number in range(int(rate * seconds)):
        await asyncio.sleep(started + number / rate - time.monotonic())
        spec = Fault.model_validate({"name": "f", "effect": {"type": "error"}, "seed": time.time_ns()})
        entry = AuditEntry(at=store.now(), actor="benchmark", action="replace", fault="f")
        revision = (await store.apply(changes.replace(spec, store.now()), entry)).after.revision
    await store.close()
    return revision


def converged(client: redis.Redis, revision: int, count: int) -> bool:
    """Return whether all replicas apply the revision in time."""
    deadline = time.monotonic() + BEHIND
    while time.monotonic() < deadline:
        revisions = [json.loads(text)["revision"] for text in client.hvals("{chaosapi}:replicas")]
        if revisions == count * [revision]:
            return True
        time.sleep(0.02)
    return False


def priced(count: int, processes: int, seconds: float) -> Price:
    """Measure it with so many replicas."""
    with ExitStack() as stack:
        url = stack.enter_context(_redis.running())
        client = stack.enter_context(redis.Redis.from_url(url, decode_responses=True))
        empty = client.info("memory")["used_memory"]
        stack.enter_context(simulated(url, count, processes))
        uvloop.run(change(url, 1, 1))
        time.sleep(2)
        before = spent(client)
        time.sleep(2 * seconds)
        idle = [(after - value) / (2 * seconds) for value, after in zip(before, spent(client), strict=True)]
        memory = client.info("memory")["used_memory"] - empty
        fastest = 0
        costs = [0.0, 0.0]
        for rate in RATES:
            before = spent(client)
            started = time.monotonic()
            revision = uvloop.run(change(url, rate, seconds))
            elapsed = time.monotonic() - started
            after = spent(client)
            late = elapsed > seconds + BEHIND or not converged(client, revision, count)
            if rate == RATES[0]:
                costs = [
                    (now - then - elapsed * resting) / (rate * seconds)
                    for then, now, resting in zip(before, after, idle, strict=True)
                ]
            if late:
                break
            fastest = rate
        audit = client.memory_usage("{chaosapi}:audit", samples=0) / client.llen("{chaosapi}:audit")
    return Price(count, idle[0], idle[1], costs[0], costs[1], memory, audit, fastest)


def line(few: Price, many: Price, what: str) -> tuple[float, float]:
    """Return what it costs without any replica, and for each."""
    small = asdict(few)[what]
    large = asdict(many)[what]
    each = (large - small) / (many.replicas - few.replicas)
    return small - each * few.replicas, each


def main() -> int:
    """Measure, print what it means, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--replicas", type=_numbers.count, nargs="+", default=REPLICAS, help="two numbers or more")
    parser.add_argument("--processes", type=_numbers.count, default=4)
    parser.add_argument("--seconds", type=_numbers.positive, default=5, help="of each rate of changes")
    arguments = parser.parse_args()
    prices = [priced(count, arguments.processes, arguments.seconds) for count in arguments.replicas]
    few = prices[0]
    many = prices[-1]
    measured = Table("replicas", "idle: % of a core", "kB/s", "a change: µs", "kB", "kept, MB", "changes/s in time")
    for price in prices:
        measured.add_row(
            str(price.replicas),
            f"{100 * price.idle_cpu:.2f}",
            f"{price.idle_sent / 1000:.0f}",
            f"{1e6 * price.change_cpu:.0f}",
            f"{price.change_sent / 1000:.1f}",
            f"{price.memory / 1e6:.1f}",
            f"{price.fastest}{'+' if price.fastest == RATES[-1] else ''}",
        )
    computed = Table(
        "replicas", "idle: % of a core", "a change: µs", f"changes/s at {SHARE:.0%} of a core", "MB/s then"
    )
    idle, idle_each = line(few, many, "idle_cpu")
    cost, cost_each = line(few, many, "change_cpu")
    sent, sent_each = line(few, many, "idle_sent")
    change_sent, change_sent_each = line(few, many, "change_sent")
    for count in BEYOND:
        resting = idle + count * idle_each
        dear = cost + count * cost_each
        rate = max(0.0, SHARE - resting) / dear
        traffic = sent + count * sent_each + rate * (change_sent + count * change_sent_each)
        computed.add_row(str(count), f"{100 * resting:.1f}", f"{1e6 * dear:.0f}", f"{rate:.0f}", f"{traffic / 1e6:.1f}")
    Console().print(
        measured,
        computed,
        f"an entry of the audit takes {many.audit:.0f} bytes; at most {MAX_AUDIT_ENTRIES:,} are kept",
    )
    curves = {
        "Redis while nothing changes, % of a core": {"": [(each.replicas, 100 * each.idle_cpu) for each in prices]},
        "a change, µs of Redis' processor": {"": [(each.replicas, 1e6 * each.change_cpu) for each in prices]},
    }
    for what, lines in curves.items():
        print(f"{what}, by replicas: {verdict(lines[''])}")
    picture = _report.curves(curves, dict.fromkeys(curves, "replicas"))
    _report.keep("fleet", [asdict(each) for each in prices], picture)
    return 0


if __name__ == "__main__":
    sys.exit(main())
