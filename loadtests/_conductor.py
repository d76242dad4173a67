"""Deals a scenario to the processes that send it, and knows how far they are."""

import logging
from dataclasses import asdict, replace
from datetime import UTC, datetime
from time import perf_counter, time
from typing import Any
from uuid import uuid4

from _run import Choice, Run, Tally
from locust.env import Environment
from locust.rpc.protocol import Message
from locust.runners import WORKER_REPORT_INTERVAL, MasterRunner, Runner, WorkerNode, WorkerRunner

LEAD = 1.0
"""Seconds from a run's beginning to its first request: time for messages to reach the workers."""

_MESSAGE = "loadtest"
_log = logging.getLogger(__name__)


class Conductor:
    """One in each process: a master deals the parts, a worker takes its own, a single process does both.

    Time goes over the wire as seconds from now, so clocks need not agree.
    """

    def __init__(self, environment: Environment, runner: Runner) -> None:
        self.choice: Choice | None = None
        self.run: Run | None = None
        self._runner = runner
        self._environment = environment
        self._number = 0
        self._parts = 0
        self._start = 0.0
        self._stopped = 0.0
        self._tallies: dict[str, Tally] = {}
        events = environment.events
        if isinstance(runner, WorkerRunner):
            runner.register_message(_MESSAGE, self._take)
            events.report_to_master.add_listener(self._report)  # type: ignore[no-untyped-call]
        else:
            events.test_start.add_listener(self._deal)  # type: ignore[no-untyped-call]
            events.worker_report.add_listener(self._hear)  # type: ignore[no-untyped-call]
        events.test_stopping.add_listener(self._stop)  # type: ignore[no-untyped-call]

    @property
    def parts(self) -> int:
        """How many processes send."""
        if isinstance(self._runner, MasterRunner):
            return self._parts or self._runner.worker_count
        return 1

    def prepare(self, choice: Choice | None) -> None:
        """Follow this choice from the next start on."""
        self.choice = choice
        self.run = None
        self._parts = 0

    def tally(self) -> Tally:
        """Return what became of the plan, over all processes; "lost" went with a worker that did not say."""
        total = Tally()
        for each in [self.run.tally] if self.run else self._tallies.values():
            total.add(each)
        if self._parts and self.choice and self._stopped > self._start + self.choice.load().duration:
            all_of_it = self.choice.plan().total
            total.missed["lost"], total.planned = all_of_it - total.planned, all_of_it
        return replace(total, missed=+total.missed)

    def over(self) -> bool:
        """Return whether every request was due, and answered or given up."""
        if not self.choice or not self._parts:
            return False
        past = perf_counter() - self._start - self.choice.load().duration
        if past < 0:
            return False
        tallies = [self.run.tally] if self.run else list(self._tallies.values())
        done = len(tallies) == self._parts and all(tally.done for tally in tallies)
        return done or past > self._environment.stop_timeout + WORKER_REPORT_INTERVAL + 2

    def _deal(self, **_: Any) -> None:
        if not self.choice or self.choice.model != "open":
            return
        self._number += 1
        self._start = perf_counter() + LEAD
        self._tallies = {}
        load = self.choice.load()
        first = datetime.fromtimestamp(time() + LEAD, UTC)
        text = "%s: %s requests within %g s, from %s on"
        _log.info(text, self.choice.name, self.choice.plan().total, load.duration, first.isoformat())
        nonce = uuid4().hex[:8]
        if not isinstance(self._runner, MasterRunner):
            self._parts = 1
            self.run = Run(self.choice, 0, 1, self._start, nonce)
            return
        workers = self._runner.clients
        active: list[WorkerNode] = workers.ready + workers.running + workers.spawning
        self._parts = len(active)
        for index, worker in enumerate(active):
            part = {"choice": asdict(self.choice), "index": index, "count": self._parts, "nonce": nonce}
            self._runner.send_message(_MESSAGE, {**part, "number": self._number, "lead": LEAD}, worker.id)

    def _take(self, msg: Message, **_: Any) -> None:
        data = msg.data
        self.choice = Choice(**data["choice"])
        self._number = data["number"]
        self.run = Run(self.choice, data["index"], data["count"], perf_counter() + data["lead"], data["nonce"])

    def _report(self, data: dict[str, Any], **_: Any) -> None:
        if self.run:
            data[_MESSAGE] = {"number": self._number, "tally": self.run.tally.as_dict()}

    def _hear(self, client_id: str, data: dict[str, Any], **_: Any) -> None:
        told = data.get(_MESSAGE)
        if told and told["number"] == self._number:
            self._tallies[client_id] = Tally.of(told["tally"])

    def _stop(self, **_: Any) -> None:
        self._stopped = perf_counter()
        if self.run:
            self.run.stopping.set()


def summary(choice: Choice, tally: Tally) -> str:
    """Say in a line what became of the plan."""
    missed = ", ".join(f"{count} {reason}" for reason, count in sorted(tally.missed.items()))
    return (
        f"{choice.name}: {tally.planned:,} requests were due and {tally.missed.total():,} missed"
        f"{f' ({missed})' if missed else ''}; {tally.retries:,} retries; "
        f"the latest start was {1000 * tally.late:.0f} ms behind its time"
    )


def log(choice: Choice, tally: Tally) -> None:
    """Log it, as a warning where something was missed."""
    level = logging.WARNING if tally.missed.total() else logging.INFO
    _log.log(level, "%s", summary(choice, tally))
