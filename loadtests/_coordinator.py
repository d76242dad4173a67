"""Split a scenario among the processes that send it, and collect what each has done."""

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

LEAD_S = 1.0
"""Time between the start of a run and its first request, in which messages reach the workers."""

_MESSAGE = "loadtest"
_log = logging.getLogger(__name__)


class Coordinator:
    """One in each process: a master sends a part to each worker; a single process sends the only part itself.

    Messages carry times relative to now, so clocks need not agree.
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
            runner.register_message(_MESSAGE, self._receive_part)
            events.report_to_master.add_listener(self._add_tally)  # type: ignore[no-untyped-call]
        else:
            events.test_start.add_listener(self._distribute)  # type: ignore[no-untyped-call]
            events.worker_report.add_listener(self._record_tally)  # type: ignore[no-untyped-call]
        events.test_stopping.add_listener(self._stop)  # type: ignore[no-untyped-call]

    @property
    def parts(self) -> int:
        """Return the number of processes that send requests."""
        if isinstance(self._runner, MasterRunner):
            return self._parts or self._runner.worker_count
        return 1

    def prepare(self, choice: Choice | None) -> None:
        """Use these options from the next start on."""
        self.choice = choice
        self.run = None
        self._parts = 0

    def tally(self) -> Tally:
        """Return the sum over all processes; the parts of workers that did not report are counted as "lost"."""
        total = Tally()
        for each in [self.run.tally] if self.run else self._tallies.values():
            total.add(each)
        if self._parts and self.choice and self._stopped > self._start + self.choice.load().duration:
            all_of_it = self.choice.plan().total
            total.missed["lost"], total.planned = all_of_it - total.planned, all_of_it
        return replace(total, missed=+total.missed)

    def is_finished(self) -> bool:
        """Return whether every request is answered or given up."""
        if not self.choice or not self._parts:
            return False
        past = perf_counter() - self._start - self.choice.load().duration
        if past < 0:
            return False
        tallies = [self.run.tally] if self.run else list(self._tallies.values())
        done = len(tallies) == self._parts and all(tally.done for tally in tallies)
        return done or past > self._environment.stop_timeout + WORKER_REPORT_INTERVAL + 2

    def _distribute(self, **_: Any) -> None:
        if not self.choice or self.choice.model != "open":
            return
        self._number += 1
        self._start = perf_counter() + LEAD_S
        self._tallies = {}
        load = self.choice.load()
        first = datetime.fromtimestamp(time() + LEAD_S, UTC)
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
            self._runner.send_message(_MESSAGE, {**part, "number": self._number, "lead": LEAD_S}, worker.id)

    def _receive_part(self, msg: Message, **_: Any) -> None:
        data = msg.data
        self.choice = Choice(**data["choice"])
        self._number = data["number"]
        self.run = Run(self.choice, data["index"], data["count"], perf_counter() + data["lead"], data["nonce"])

    def _add_tally(self, data: dict[str, Any], **_: Any) -> None:
        if self.run:
            data[_MESSAGE] = {"number": self._number, "tally": self.run.tally.as_dict()}

    def _record_tally(self, client_id: str, data: dict[str, Any], **_: Any) -> None:
        reported = data.get(_MESSAGE)
        if reported and reported["number"] == self._number:
            self._tallies[client_id] = Tally.of(reported["tally"])

    def _stop(self, **_: Any) -> None:
        self._stopped = perf_counter()
        if self.run:
            self.run.stopping.set()


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
