"""Runs the effects on the process: a thread each, so that they live on while the event loop stands."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterable

import structlog

from chaosapi.effects import Probe, ProcessEffect
from chaosapi.engine import Run

_LOOK = 0.5
"""Seconds after which a sleeping effect looks at the clock again, at the latest."""

log = structlog.stdlib.get_logger("chaosapi.supervisor")


class Probes:
    """Which probes fail now; asked by /healthz and /readyz."""

    def __init__(self) -> None:
        self._failing: dict[Probe, set[Stint]] = {"readiness": set(), "liveness": set()}

    def fails(self, probe: Probe) -> bool:
        """Tell whether the probe fails, and count that."""
        failing = tuple(self._failing[probe])
        for stint in failing:
            stint.acted()
        return bool(failing)

    def set(self, probe: Probe, stint: "Stint", *, failing: bool) -> None:
        """Note what an effect wants of a probe."""
        (self._failing[probe].add if failing else self._failing[probe].discard)(stint)


class Stint:
    """One effect at work in its thread: the host that it is lent."""

    def __init__(self, run: Run, effect: ProcessEffect, supervisor: "Supervisor") -> None:
        self.run, self.effect = run, effect
        self._supervisor = supervisor
        self._stopped = False
        self._look = threading.Event()
        self.thread = threading.Thread(target=self._work, name=f"chaosapi-{effect.type}", daemon=True)

    def stop(self) -> None:
        """End the work from outside: the service stops, or the effect was patched."""
        self._stopped = True
        self._look.set()

    def acting(self) -> bool:
        """Tell whether the fault still acts."""
        return not self._stopped and self.run.remaining() > 0

    def strength(self) -> float:
        """Return the fault's strength now."""
        return self.run.strength()

    def sleep(self, seconds: float) -> None:
        """Sleep so long, or until the fault ends."""
        until = time.monotonic() + seconds
        while self.acting() and (left := until - time.monotonic()) > 0:
            self._look.clear()
            if self.acting():
                self._look.wait(max(0.0, min(left, self.run.remaining(), _LOOK)))

    def freeze(self, seconds: float) -> None:
        """Stop the event loop for so long, or until the fault ends."""
        loop, over = self._supervisor.loop, threading.Event()
        if loop is None:
            return

        def stand() -> None:
            started = time.monotonic()
            self.sleep(seconds)
            self.run.tally.delayed(seconds, time.monotonic() - started)
            self.acted()
            over.set()

        loop.call_soon_threadsafe(stand)
        while self.acting() and not over.wait(_LOOK):
            pass

    def fail(self, probe: Probe, *, failing: bool) -> None:
        """Let a probe fail, or stop doing so."""
        self._supervisor.probes.set(probe, self, failing=failing)

    def acted(self) -> None:
        """Count one act; an effect on the process has no request to let off."""
        self.run.tally.matched += 1
        self.run.tally.expected += 1
        self.run.tally.injected += 1

    def _work(self) -> None:
        with self.run.waking(self._look.set):
            try:
                while self.acting() and (early := self.run.plan.starts_at - self._supervisor.clock()) > 0:
                    self.sleep(early)
                if self.acting():
                    self.effect.act(self)
            except Exception:
                self.run.tally.skipped["failed"] += 1
                log.exception("an effect on the process failed", fault=self.run.plan.record.name)


class Supervisor:
    """Starts a thread for each live fault on the process, and sees to it that all give back what they took."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.probes = Probes()
        self.loop: asyncio.AbstractEventLoop | None = None
        """The event loop that serves traffic."""
        self._stints: dict[int, Stint] = {}

    def sync(self, runs: Iterable[Run]) -> None:
        """Start what is new and stop what was changed; what has ended notices it by itself."""
        known = {id(run): run for run in runs}
        for key, stint in list(self._stints.items()):
            run = known.get(key)
            if run is None or run.plan.effect != stint.effect or not stint.acting():
                self._stints.pop(key).stop()
        for key, run in known.items():
            if key not in self._stints and isinstance(run.plan.effect, ProcessEffect) and run.remaining() > 0:
                self._stints[key] = stint = Stint(run, run.plan.effect, self)
                stint.thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """End all work and wait until everything is given back, at most so many seconds each."""
        for stint in self._stints.values():
            stint.stop()
        for stint in self._stints.values():
            stint.thread.join(timeout)
        self._stints.clear()
