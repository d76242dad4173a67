"""Split a scenario among the processes that send it, and collect what each has done."""

import logging
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import UTC, datetime
from time import perf_counter, time
from typing import Any
from uuid import uuid4

import gevent
from _run import Choice, Run, Tally
from locust.env import Environment
from locust.rpc.protocol import Message
from locust.runners import (
    STATE_MISSING,
    WORKER_REPORT_INTERVAL,
    MasterRunner,
    Runner,
    WorkerNode,
    WorkerRunner,
)

LEAD_S = 1.0
"""Time between the start of a run and its first request, in which messages reach the workers."""

_MESSAGE = "loadtest"
_SLACK_S = 0.5
"""How much before its end a closed loop may be stopped and still be whole: Locust looks at the time once a second."""
_LOCAL = "local"
_log = logging.getLogger(__name__)


class Coordinator:
    """One in each process: a master sends a part to each worker; a single process sends the only part itself.

    Messages carry times relative to now, so clocks need not agree.
    """

    def __init__(self, environment: Environment, runner: Runner) -> None:
        self.choice: Choice | None = None
        self.run: Run | None = None
        self.signal = ""
        """The signal that asked for the end of the run."""
        self._runner = runner
        self._environment = environment
        self._number = 0
        self._start: float | None = None
        self._stopped: float | None = None
        self._parts: dict[str, int] = {}
        self._tallies: dict[str, Tally] = {}
        self._alive: set[str] = set()
        events = environment.events
        if isinstance(runner, WorkerRunner):
            runner.register_message(_MESSAGE, self._receive)
            events.report_to_master.add_listener(self._add_tally)  # type: ignore[no-untyped-call]
            events.quitting.add_listener(self._leave)  # type: ignore[no-untyped-call]
        else:
            events.test_start.add_listener(self._distribute)  # type: ignore[no-untyped-call]
            events.worker_report.add_listener(self._record_tally)  # type: ignore[no-untyped-call]
        events.test_stopping.add_listener(self._stop)  # type: ignore[no-untyped-call]

    @property
    def parts(self) -> int:
        """Return the number of processes that send requests."""
        if isinstance(self._runner, MasterRunner):
            return len(self._parts) or self._runner.worker_count
        return 1

    @property
    def started(self) -> bool:
        """Return whether the run has been started."""
        return self._start is not None

    def prepare(self, choice: Choice | None) -> None:
        """Use these options from the next start on."""
        self.choice = choice
        self.run = None
        self._start = None
        self._stopped = None
        self._parts = {}
        self._tallies = {}

    def tally(self) -> Tally:
        """Return the sum over all processes.

        When the run has ended, what nobody sent was missed: "stopped" where a process was asked to stop before, "lost"
        where a process ended, or did not report.
        """
        total = Tally()
        for each in self._tallied().values():
            total.add(each)
        if self._stopped is not None and self.choice:
            for reason, count in self._unsent(self.choice):
                total.missed[reason] += count
                total.planned += count
        return replace(total, missed=+total.missed)

    def end(self) -> None:
        """Take the run for ended, if nothing has ended it so far."""
        if self._stopped is None:
            self._stopped = perf_counter()
            self._alive = self._connected()

    def is_finished(self) -> bool:
        """Return whether every request is answered or given up."""
        if not self.choice or not self._parts or self._start is None:
            return False
        past = perf_counter() - self._start - self.choice.load().duration
        if past < 0:
            return False
        tallies = self._tallied()
        done = len(tallies) == len(self._parts) and all(tally.done for tally in tallies.values())
        return done or past > self._environment.stop_timeout + WORKER_REPORT_INTERVAL + 2

    def cut_short(self) -> str:
        """Return how the run ended before its time; empty for a whole run."""
        cause = self.signal
        if self._start is None:
            return f"no run was started{f': {cause}' if cause else ''}"
        if isinstance(self._runner, MasterRunner) and not self._alive:
            cause = cause or "no worker was left"
        elapsed = max(0.0, (perf_counter() if self._stopped is None else self._stopped) - self._start)
        duration = self._duration(by_itself=not cause)
        if elapsed >= duration - (0.0 if self._parts else _SLACK_S):
            return ""
        return f"it ended after {elapsed:.1f} of {duration:g} s: {cause or 'it was stopped'}"

    def _duration(self, *, by_itself: bool) -> float:
        """Return how long the run should last, in seconds; 0 where nothing says it.

        Without a web page nobody stops a run at -t but Locust, whose timer runs ahead of the clock at its start.
        """
        if self.choice:
            return self.choice.load().duration
        options = self._environment.parsed_options
        if options is None or (options.headless and by_itself):
            return 0.0
        return float(options.run_time or 0.0)

    def _tallied(self) -> dict[str, Tally]:
        return {_LOCAL: self.run.tally} if self.run else self._tallies

    def _unsent(self, choice: Choice) -> Iterator[tuple[str, int]]:
        """Yield the number of requests of each part that were never due, with the reason."""
        if choice.model != "open":
            return
        total = choice.plan().total
        if not self._parts:
            yield "stopped", total
        tallies = self._tallied()
        early = bool(self.cut_short())
        for process, index in self._parts.items():
            tally = tallies.get(process, Tally())
            asked = process == _LOCAL or (tally.done and process in self._alive)
            yield ("stopped" if early and asked else "lost", self._size(total, index) - tally.planned)

    def _size(self, total: int, index: int) -> int:
        return len(range(index, total, len(self._parts)))

    def _distribute(self, **_: Any) -> None:
        self._start = perf_counter()
        self._stopped = None
        self._parts = {}
        self._tallies = {}
        self._alive = self._connected()
        if not self.choice or self.choice.model != "open":
            return
        self._number += 1
        self._start += LEAD_S
        load = self.choice.load()
        first = datetime.fromtimestamp(time() + LEAD_S, UTC)
        text = "%s: %s requests within %g s, from %s on"
        _log.info(text, self.choice.name, self.choice.plan().total, load.duration, first.isoformat())
        nonce = uuid4().hex[:8]
        if not isinstance(self._runner, MasterRunner):
            self._parts = {_LOCAL: 0}
            self.run = Run(self.choice, 0, 1, self._start, nonce)
            return
        workers = self._runner.clients
        active: list[WorkerNode] = workers.ready + workers.running + workers.spawning
        self._parts = {worker.id: index for index, worker in enumerate(active)}
        for worker, index in self._parts.items():
            part = {"choice": asdict(self.choice), "index": index, "count": len(active), "nonce": nonce}
            self._runner.send_message(_MESSAGE, {**part, "number": self._number, "lead": LEAD_S}, worker)

    def _receive(self, msg: Message, **_: Any) -> None:
        """Take this worker's part, or stop sending it."""
        data = msg.data
        if "stop" in data:
            if self.run and data["stop"] == self._number:
                self.run.stopping.set()
            return
        self.choice = Choice(**data["choice"])
        self._number = data["number"]
        start = perf_counter() + data["lead"]
        self.run = Run(self.choice, data["index"], data["count"], start, data["nonce"])

    def _add_tally(self, data: dict[str, Any], **_: Any) -> None:
        if self.run:
            data[_MESSAGE] = {"number": self._number, "tally": self.run.tally.as_dict()}

    def _record_tally(self, client_id: str, data: dict[str, Any], **_: Any) -> None:
        reported = data.get(_MESSAGE)
        if reported and reported["number"] == self._number:
            self._tallies[client_id] = Tally.of(reported["tally"])

    def report(self) -> None:
        """Report to the master now: it may not live until the next report is due."""
        if isinstance(self._runner, WorkerRunner):
            data: dict[str, Any] = {}
            self._environment.events.report_to_master.fire(client_id=self._runner.client_id, data=data)  # type: ignore[no-untyped-call]  # Locust's is untyped
            self._runner.send_message("stats", data)

    def _connected(self) -> set[str]:
        if not isinstance(self._runner, MasterRunner):
            return set()
        return {client.id for client in self._runner.clients.all if client.state != STATE_MISSING}

    def _stop(self, **_: Any) -> None:
        self.end()
        if self.run:
            self.run.stopping.set()
        elif self._parts and self.cut_short():
            self._collect()

    def _collect(self) -> None:
        """Ask the workers to stop, and wait for their last reports: Locust would ask them when the run is judged."""
        waiting = self._alive & self._parts.keys()
        for worker in waiting:
            self._runner.send_message(_MESSAGE, {"stop": self._number}, worker)
        deadline = perf_counter() + self._environment.stop_timeout + WORKER_REPORT_INTERVAL
        while not all(self._tallies.get(worker, Tally()).done for worker in waiting) and perf_counter() < deadline:
            gevent.sleep(0.05)

    def _leave(self, **_: Any) -> None:
        """End this worker's part before it leaves, so that the master has its last numbers."""
        if self.run:
            self.run.stopping.set()
            deadline = perf_counter() + self._environment.stop_timeout
            while not self.run.tally.done and self._runner.user_count and perf_counter() < deadline:
                gevent.sleep(0.05)


def summary(choice: Choice, tally: Tally) -> str:
    """Return one line about how many requests were due, missed and retried."""
    missed = ", ".join(f"{count} {reason}" for reason, count in sorted(tally.missed.items()))
    return (
        f"{choice.name}: {tally.planned:,} requests were due and {tally.missed.total():,} missed"
        f"{f' ({missed})' if missed else ''}; {tally.retries:,} retries; "
        f"the latest start was {1000 * tally.late:.0f} ms behind its time"
    )


def log(choice: Choice, tally: Tally) -> None:
    """Log the summary, as a warning if requests were missed."""
    level = logging.WARNING if tally.missed.total() else logging.INFO
    _log.log(level, "%s", summary(choice, tally))
