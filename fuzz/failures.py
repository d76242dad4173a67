"""Randomised failures of real processes: `python -m fuzz.failures --runs 1000 --seed 3 --parallel 8`.

Each run draws troubles for a stand of real services, injects a fault of one to three seconds, changes other faults and
sends user requests. The invariants: no fault acts or holds a request more than a second past its end, or past
the kill switch on the replica that answered it, by the machine's monotonic clock, less the prober's own lag; every
acknowledged change is in the audit exactly once, if the audit's store survived; no revision is used twice;
the kill switch always responds with 200.
"""

import argparse
import ctypes
import json
import multiprocessing
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from http.client import HTTPException
from itertools import chain
from pathlib import Path
from random import Random
from typing import Any, Final

from fuzz.service import Reply
from fuzz.stand import STORES, Replica, Stand, Store
from fuzz.troubles import TROUBLES, possible

SLACK: Final = 1.0
"""Seconds past its end during which a fault may still act."""
_CHUNK: Final = 10
"""Runs on one stand."""
_EFFECTS: Final[tuple[dict[str, Any], ...]] = (
    {"type": "error", "status": 503},
    {"type": "error", "status": 503},
    {"type": "hang", "at_most": "1h"},
    {"type": "latency", "distribution": {"type": "constant", "value": "1h"}, "cap": "1h"},
)
_HARMLESS: Final = {
    "effect": {"type": "error"},
    "rate": 1e-9,
    "target": {"methods": ["DELETE"]},
    "schedule": {"duration": "10m"},
}
_PR_SET_PDEATHSIG: Final = 1
_FAILED: Final = (OSError, HTTPException, ValueError)


@dataclass(frozen=True)
class Visit:
    """One request of a user, by the machine's monotonic clock."""

    sent: float
    answered: float
    status: int
    """0 without a response."""
    faults: str
    """The faults that the response names."""


@dataclass
class Result:
    """The setup of one run, and its violations."""

    seed: int
    stand: str
    troubles: list[str]
    wrong: list[str] = field(default_factory=list)
    timeline: list[str] = field(default_factory=list)
    kills: list[float] = field(default_factory=list)
    visits: int = 0
    acknowledged: int = 0
    audited: bool = True
    lag: float = 0.0
    late: float = 0.0
    """The most seconds past its end at which the fault acted or held a request."""


class Repeated(threading.Thread):
    """A background activity of a run."""

    def __init__(self, act: Callable[[], None], pause: float) -> None:
        super().__init__(daemon=True)
        self._act = act
        self._pause = pause
        self._over = threading.Event()

    def run(self) -> None:
        """Repeat the action until the block of `running` ends."""
        while not self._over.wait(self._pause):
            self._act()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run until the block ends."""
        self.start()
        try:
            yield
        finally:
            self._over.set()
            self.join(60)


class Lag:
    """The lateness of this process's threads, which must not count against the service."""

    def __init__(self) -> None:
        self.worst = 0.0

    def measure(self) -> None:
        """Sleep for 20 ms, and note the lateness."""
        begun = time.monotonic()
        time.sleep(0.02)
        self.worst = max(self.worst, time.monotonic() - begun - 0.02)


class Run:
    """One run on a healthy stand."""

    def __init__(self, stand: Stand, seed: int) -> None:
        self.stand = stand
        self.dice = Random(seed)
        self.name = f"run-{seed}"
        self.begun = time.monotonic()
        self.result = Result(seed, stand.name, self._draw())
        self.visits: dict[int, list[Visit]] = {replica.number: [] for replica in stand.replicas}
        self.acknowledged: dict[str, int] = {}
        """The acknowledged revision of each change, by its reason."""
        self.stopped: dict[int, float] = {}
        """When each replica's own kill switch responded with 200."""
        self._changes = Random(seed + 1)
        self._number = 0

    def _draw(self) -> list[str]:
        names = possible(self.stand)
        first = self.dice.choice(names)
        if TROUBLES[first].alone or self.dice.random() < 0.6:
            return [first]
        touched = TROUBLES[first].touches
        fitting = [name for name in names if not TROUBLES[name].alone and TROUBLES[name].touches != touched]
        others = [name for name in fitting if name != first]
        return [first, self.dice.choice(others)] if others else [first]

    def note(self, what: str) -> None:
        """Add an event to the timeline."""
        self.result.timeline.append(f"{time.monotonic() - self.begun:7.3f} {what}")

    def go(self) -> Result:
        """Break the stand, wait until it has recovered, and check the invariants."""
        lag = Lag()
        for replica in self.stand.replicas:
            replica.away.clear()
        with ExitStack() as stack:
            stack.enter_context(Repeated(lag.measure, 0.01).running())
            for replica in self.stand.replicas:
                stack.enter_context(Repeated(self._visitor(replica), 0.05).running())
            with Repeated(self._change, 0.12).running():
                ends = self._break()
            self._rest(ends)
        self.result.lag = lag.worst
        if ends is not None:
            self._check_ends(ends, lag.worst)
        self._check_audit()
        self.result.visits = sum(map(len, self.visits.values()))
        self.result.acknowledged = len(self.acknowledged)
        return self.result

    def _break(self) -> float | None:
        """Inject the fault and cause the troubles; return the latest possible end of the fault."""
        before = self.dice.random() < 0.6
        ends = self._inject() if before else None
        time.sleep(self.dice.uniform(0, 0.8))
        with ExitStack() as stack:
            for name in self.result.troubles:
                self.note(f"{name} begins")
                stack.enter_context(TROUBLES[name].act(self.stand, self.dice))
            if not before:
                ends = self._inject()
            time.sleep(self.dice.uniform(0.2, 1.5))
            if self.dice.random() < 0.4:
                self._kill()
            time.sleep(self.dice.uniform(0.1, 1.0))
            self.note("the troubles end")
        self.note("all is well again")
        return ends

    def _inject(self) -> float | None:
        duration = self.dice.choice((1.0, 1.5, 2.0, 3.0))
        effect = self.dice.choice(_EFFECTS)
        fault = {"effect": effect, "schedule": {"duration": duration}, "reason": self.name}
        reply = self._ask("PUT", f"/admin/faults/{self.name}", fault)
        acknowledged = time.monotonic()
        self.note(f"inject {effect['type']} for {duration} s: {reply.status if reply else 'no answer'}")
        if reply and reply.status < 300:
            self.acknowledged[self.name] = reply.content["revision"]
        # Without a response the fault may act all the same, from now at the latest.
        return acknowledged + duration

    def _kill(self) -> None:
        """Use the kill switch of a running replica; the response must be 200."""
        running = [replica for replica in self.stand.replicas if self._is_running(replica)]
        if not running:
            return
        replica = self.dice.choice(running)
        begun = time.monotonic()
        try:
            reply = replica.call("DELETE", f"/admin/faults?reason=kill-{self.name}")
        except _FAILED as error:
            self.result.wrong.append(f"the kill switch of replica {replica.number} gave {error!r}")
            return
        took = time.monotonic() - begun
        self.result.kills.append(1000 * took)
        stored = reply.content.get("stored") if isinstance(reply.content, dict) else None
        self.note(f"kill switch of replica {replica.number}: {reply.status} stored={stored} in {1000 * took:.0f} ms")
        if reply.status == 200:
            self.stopped[replica.number] = time.monotonic()
        else:
            self.result.wrong.append(f"the kill switch answered {reply.status}: {str(reply.content)[:200]}")

    def _is_running(self, replica: Replica) -> bool:
        """Return whether all processes of a replica run."""
        if not replica.service.alive():
            return False
        with suppress(OSError):
            states = [process.status() for process in replica.service.family()]
            return "stopped" not in states
        return False

    def _ask(self, method: str, path: str, body: Any) -> Reply | None:
        running = [replica for replica in self.stand.replicas if self._is_running(replica)]
        if not running:
            return None
        try:
            return self.dice.choice(running).call(method, path, body, patience=10)
        except _FAILED:
            return None

    def _visitor(self, replica: Replica) -> Callable[[], None]:
        def visit() -> None:
            sent = time.monotonic()
            try:
                reply = replica.call("GET", "/api/products", users=True, patience=20)
                status = reply.status
                faults = reply.faults
            except _FAILED:
                status = 0
                faults = ""
            self.visits[replica.number].append(Visit(sent, time.monotonic(), status, faults))

        return visit

    def _change(self) -> None:
        """Make a change that affects no users, and keep the acknowledged revision."""
        running = [replica for replica in self.stand.replicas if self._is_running(replica)]
        if not running:
            return
        self._number += 1
        reason = f"{self.name} change {self._number}"
        fault = {**_HARMLESS, "reason": reason}
        try:
            reply = self._changes.choice(running).call(
                "PUT", f"/admin/faults/calm-{self._number % 4}", fault, patience=15
            )
        except _FAILED:
            return
        if reply.status < 300:
            self.acknowledged[reason] = reply.content["revision"]

    def _rest(self, ends: float | None) -> None:
        """Wait until shortly after the fault's end."""
        while time.monotonic() < (ends or 0) + SLACK + 0.7:
            time.sleep(0.05)

    # The checks.

    def _check_ends(self, ends: float, lag: float) -> None:
        allowed = SLACK + lag
        for replica in self.stand.replicas:
            over = min(ends, self.stopped.get(replica.number, ends))
            for visit in self.visits[replica.number]:
                late = self._late(replica, visit, over)
                self.result.late = max(self.result.late, late)
                if late > allowed:
                    self.result.wrong.append(
                        f"replica {replica.number}: {visit.status} sent {visit.sent - over:+.2f} s and answered "
                        f"{visit.answered - over:+.2f} s from the fault's end; lag {lag:.2f}"
                    )
                    return

    def _late(self, replica: Replica, visit: Visit, ends: float) -> float:
        """Return how many seconds past the fault's end a request was hit or held."""
        until = ends
        for since, back in replica.away:  # a frozen replica answers no request
            if visit.sent < back and since < visit.answered:
                until = max(until, back)
        if visit.status == 503 and self.name in visit.faults:
            return visit.sent - ends  # no hit may be decided after the end, on a frozen replica too
        return visit.answered - until if visit.answered - visit.sent > SLACK else 0.0

    def _check_audit(self) -> None:
        """Compare the audit with the acknowledgements; every replica must return the same audit."""
        if any(self.stand.store in TROUBLES[name].forgets for name in self.result.troubles):
            self.result.audited = False
        revisions = Counter(self.acknowledged.values())
        reused = [revision for revision, count in revisions.items() if count > 1]
        if reused and self.result.audited:
            self.result.wrong.append(f"revisions acknowledged twice: {reused[:5]}")
        if not self.result.audited:
            return
        deadline = time.monotonic() + 10
        while (wrong := self._audit_wrong()) and time.monotonic() < deadline:
            time.sleep(0.2)
        if wrong:
            self.result.wrong.append(wrong)

    def _audit_wrong(self) -> str:
        for replica in self.stand.replicas:
            try:
                reply = replica.call("GET", "/admin/audit?limit=1000", patience=10)
            except _FAILED as error:
                return f"replica {replica.number} does not give its audit: {error!r}"
            if reply.status != 200:
                return f"replica {replica.number} gives {reply.status} for its audit"
            entries = reply.content["entries"]
            found = Counter(entry["reason"] for entry in entries)
            missing = [reason for reason in self.acknowledged if not found[reason]]
            if missing:
                counts = f"{len(missing)} of {len(self.acknowledged)} acknowledged are not in the audit"
                return f"replica {replica.number}: {counts}: {missing[:3]}"
            double = [reason for reason in self.acknowledged if found[reason] > 1]
            if double:
                return f"replica {replica.number}: in the audit twice: {double[:3]}"
            numbers = Counter(entry["revision"] for entry in entries if entry["reason"].startswith(self.name))
            if reused := [number for number, count in numbers.items() if count > 1]:
                return f"replica {replica.number}: revisions used twice: {reused[:5]}"
        return ""


def setup(seed: int) -> tuple[Store, bool]:
    """Return the store, and whether the control plane has its own port, drawn from the seed."""
    dice = Random(seed)
    return dice.choice((*STORES, "redis")), dice.random() < 0.6


def run_chunk(store: Store, apart: bool, seeds: Sequence[int], python: str, until: float) -> list[Result]:  # noqa: FBT001 - goes to a pool
    """Make the runs on one stand, and on a new one after a failed run; start none after `until`, in Unix seconds."""
    found: list[Result] = []
    left = list(seeds)
    while left and time.time() < until:
        with tempfile.TemporaryDirectory(prefix="failures-") as name, ExitStack() as stack:
            stand = Stand(store, Path(name), stack, apart=apart, python=python, cut=True)
            while left and time.time() < until:
                seed = left.pop(0)
                try:
                    result = Run(stand, seed).go()
                except Exception as error:  # noqa: BLE001 - reported with its seed; other runs go on
                    result = Result(
                        seed, stand.name, [], [f"the run itself broke: {error!r}"], traceback.format_exception(error)
                    )
                found.append(result)
                if result.wrong:
                    break
    return found


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def main() -> int:
    """Make all runs; return 1 if an invariant was violated."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--parallel", type=int, default=8)
    parser.add_argument("--minutes", type=float, default=240, help="begin no run after so long")
    parser.add_argument("--only", type=int, action="append", help="repeat the run of this seed; may be repeated")
    parser.add_argument("--python", default=sys.executable, help="the interpreter whose chaosapi is tried")
    arguments = parser.parse_args()
    seeds = arguments.only or [1_000_000 * arguments.seed + number for number in range(arguments.runs)]
    groups: dict[tuple[Store, bool], list[int]] = {}
    for seed in seeds:
        groups.setdefault(setup(seed), []).append(seed)
    chunks = []
    for key, group in groups.items():
        chunks += [(key, group[at : at + _CHUNK]) for at in range(0, len(group), _CHUNK)]
    Random(arguments.seed).shuffle(chunks)
    begun = time.monotonic()
    results: list[Result] = []
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(arguments.parallel, context, _end_with_parent) as pool:
        until = time.time() + 60 * arguments.minutes
        futures = [pool.submit(run_chunk, *key, group, arguments.python, until) for key, group in chunks]
        for future in as_completed(futures):
            for result in future.result():
                results.append(result)
                if result.wrong:
                    print(json.dumps(asdict(result), indent=1), flush=True)
    print(report(results, time.monotonic() - begun))
    return 1 if any(result.wrong for result in results) else 0


def report(results: Sequence[Result], seconds: float) -> str:
    """Return the table by trouble, and the totals."""
    lines = ["| trouble | runs | failed | latest past the end, s |", "|---|---|---|---|"]
    for name in TROUBLES:
        with_it = [result for result in results if name in result.troubles]
        if with_it:
            failed = sum(bool(result.wrong) for result in with_it)
            late = max(result.late for result in with_it)
            lines.append(f"| {name} | {len(with_it)} | {failed} | {max(0.0, late):.2f} |")
    kills = sorted(chain.from_iterable(result.kills for result in results))
    visits = sum(result.visits for result in results)
    acknowledged = sum(result.acknowledged for result in results if result.audited)
    wrong = sum(bool(each.wrong) for each in results)
    lines += ["", f"{len(results)} runs in {seconds:.0f} s, {wrong} failed; {visits:,} requests of users"]
    lines.append(f"{acknowledged:,} acknowledged changes compared with the audit")
    if kills:
        p99 = kills[min(len(kills) - 1, int(0.99 * len(kills)))]
        lines.append(
            f"{len(kills)} kill switches, ms: p50 {kills[len(kills) // 2]:.0f}, p99 {p99:.0f}, max {kills[-1]:.0f}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
