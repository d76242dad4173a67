"""Runs the effects on the process: a thread each, so that they live on while the event loop stands."""

import asyncio
import math
import threading
import time
from collections.abc import Callable, Iterable

from chaosapi.effects import Probe, ProcessEffect
from chaosapi.effects.pause import BREATH
from chaosapi.injection.engine import Run
from chaosapi.logger import get_logger
from chaosapi.runtime.burners import Burners

_POLL_INTERVAL_S = 0.5
"""Seconds after which a sleeping effect looks at the clock again, at the latest."""

log = get_logger("chaosapi.runtime.process_effects")


class Probes:
    """Which probes fail now; asked by /healthz and /readyz."""

    def __init__(self) -> None:
        self._failing: dict[Probe, set[EffectThread]] = {"readiness": set(), "liveness": set()}
        self._stopping = False

    def mark_stopping(self) -> None:
        """Let readiness fail from now on: the process is about to stop."""
        self._stopping = True

    def stopping(self) -> bool:
        """Tell whether the process is about to stop."""
        return self._stopping

    def fails(self, probe: Probe) -> bool:
        """Tell whether the probe fails, and count that; a fault that has ended fails none, whatever its thread does."""
        failing = [stint for stint in tuple(self._failing[probe]) if stint.acting()]
        for stint in failing:
            stint.acted()
        return bool(failing) or (self._stopping and probe == "readiness")

    def set(self, probe: Probe, stint: "EffectThread", *, failing: bool) -> None:
        """Note what an effect wants of a probe."""
        (self._failing[probe].add if failing else self._failing[probe].discard)(stint)


class LoopFreeze:
    """When the event loop stands: never for two faults at once, and never again before it has had time to run."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._frozen = False
        self._thawed_at = -math.inf
        self._fault_acts: Callable[[], bool] = lambda: False

    def begin(self, now: float, rest: float) -> bool:
        """Let the loop stand, if it does not already and has run for `rest` seconds; tell whether.

        Once the fault for which it stood last has ended, a breath is enough.
        """
        with self._lock:
            needed = rest if self._fault_acts() else min(rest, BREATH)
            if self._frozen or now < self._thawed_at + needed:
                return False
            self._frozen = True
            return True

    def end(self, now: float, fault_acts: Callable[[], bool]) -> None:
        """Let it run again; `lives` tells whether the fault for which it stood still acts."""
        with self._lock:
            self._frozen = False
            self._thawed_at = now
            self._fault_acts = fault_acts


class EffectThread:
    """One effect at work in its thread: the host that it is lent."""

    def __init__(
        self, run: Run, effect: ProcessEffect, runner: "ProcessEffectRunner", predecessor: "EffectThread | None"
    ) -> None:
        self.run, self.effect, self._predecessor = run, effect, predecessor
        self._runner = runner
        self._stopped = False
        self._wake = threading.Event()
        self.thread = threading.Thread(target=self._act, name=f"chaosapi-{effect.type}", daemon=True)

    def stop(self) -> None:
        """End the work from outside: the service stops, or the effect was patched."""
        self._stopped = True
        self._wake.set()

    def acting(self) -> bool:
        """Tell whether the fault still acts."""
        return not self._stopped and self.run.acts()

    def now(self) -> float:
        """Return the time on a steady clock."""
        return time.monotonic()

    def strength(self) -> float:
        """Return the fault's strength now."""
        return self.run.strength()

    def sleep(self, seconds: float, unless: Callable[[], bool] = lambda: False) -> None:
        """Sleep so long, or until the fault ends, or unless that comes true."""
        until = time.monotonic() + seconds
        while self.acting() and not unless() and (left := until - time.monotonic()) > 0:
            self._wake.clear()
            if self.acting():
                self._wake.wait(max(0.0, min(left, self.run.remaining(), _POLL_INTERVAL_S)))

    def freeze(self, seconds: float, rest: float) -> None:
        """Stop the event loop for so long, or until the fault ends or the service leaves."""
        loop = self._runner.loop
        if loop is None or self._runner.probes.stopping():
            return
        frost = self._runner.loop_freeze
        begun = frost.begin(time.monotonic(), rest)
        if not begun:
            self.sleep(BREATH)  # the pause of a fault that has ended is in the way for no longer
            begun = frost.begin(time.monotonic(), rest)
        if not begun:
            self.run.tally.matched += 1
            self.run.tally.expected += 1
            self.run.tally.skipped["overlap"] += 1
            return
        over = threading.Event()

        def stand() -> None:
            started = time.monotonic()
            if self.acting():
                self.sleep(seconds, unless=self._runner.probes.stopping)
                self.run.tally.delayed(seconds, time.monotonic() - started)
                self.acted()
            frost.end(time.monotonic(), self.acting)
            over.set()

        loop.call_soon_threadsafe(stand)
        while self._runner.loop and not over.wait(_POLL_INTERVAL_S):
            pass

    def burn(self, cores: float) -> None:
        """Use so many cores until told otherwise."""
        self._runner.burners.use(self, cores, self.run.remaining() if self.acting() else 0)

    def fail(self, probe: Probe, *, failing: bool) -> None:
        """Let a probe fail, or stop doing so."""
        self._runner.probes.set(probe, self, failing=failing)

    def acted(self) -> None:
        """Count one act; an effect on the process has no request to let off."""
        self.run.tally.matched += 1
        self.run.tally.expected += 1
        self.run.tally.injected += 1

    def _act(self) -> None:
        if self._predecessor:
            self._predecessor.thread.join()  # what the effect had taken before it was patched is given back first
            self._predecessor = None
        with self.run.waking(self._wake.set):
            try:
                while self.acting() and (early := self.run.early()) > 0:
                    self.sleep(min(early, _POLL_INTERVAL_S))
                if self.acting():
                    self.effect.act(self)
            except Exception:
                self.run.tally.skipped["failed"] += 1
                log.exception("an effect on the process failed", fault=self.run.plan.record.name)


class ProcessEffectRunner:
    """Starts a thread for each live fault on the process, and sees to it that all give back what they took."""

    def __init__(self) -> None:
        self.probes = Probes()
        self.loop_freeze = LoopFreeze()
        self.burners = Burners()
        self.loop: asyncio.AbstractEventLoop | None = None
        """The event loop that serves traffic; None while there is none, and nothing acts."""
        self._threads: dict[int, EffectThread] = {}
        self._lock = threading.Lock()

    def start(self, loop: asyncio.AbstractEventLoop, runs: Iterable[Run]) -> None:
        """Begin with the faults that there are already: an app that is only imported hurts nobody."""
        self.loop = loop
        self.sync(runs)

    def sync(self, runs: Iterable[Run]) -> None:
        """Start what is new and stop what was changed; what has ended notices it by itself."""
        with self._lock:
            if self.loop is None:
                return
            known = {id(run): run for run in runs}
            former: dict[int, EffectThread] = {}
            for key, stint in list(self._threads.items()):
                run = known.get(key)
                if run is None or run.plan.effect != stint.effect or not stint.acting():
                    former[key] = self._threads.pop(key)
                    former[key].stop()
            for key, run in known.items():
                if key not in self._threads and isinstance(run.plan.effect, ProcessEffect) and run.acts():
                    self._threads[key] = stint = EffectThread(run, run.plan.effect, self, former.get(key))
                    stint.thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """End all work and wait until everything is given back, at most so many seconds each."""
        with self._lock:
            self.loop = None
            for stint in self._threads.values():
                stint.stop()
            for stint in self._threads.values():
                stint.thread.join(timeout)
            self._threads.clear()
