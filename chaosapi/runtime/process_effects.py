"""Run effects on the process, each in its thread, so that they go on while the event loop is blocked."""

import asyncio
import math
import threading
import time
from collections.abc import Callable, Iterable

from chaosapi.effects import Probe, ProcessEffect
from chaosapi.effects.pause import MIN_REST_S
from chaosapi.injection.engine import ActiveFault
from chaosapi.logger import get_logger
from chaosapi.runtime.burners import Burners

_POLL_INTERVAL_S = 0.5

log = get_logger("chaosapi.runtime.process_effects")


class Probes:
    """The probes that fail now; /healthz and /readyz read them."""

    def __init__(self) -> None:
        self._failing: dict[Probe, set[EffectThread]] = {"readiness": set(), "liveness": set()}
        self._stopping = False
        self.drained = False
        """Whether an operator has taken this replica out of rotation: its readiness fails."""

    def mark_stopping(self) -> None:
        """Make readiness fail from now on: the process is about to stop."""
        self._stopping = True

    def stopping(self) -> bool:
        return self._stopping

    def fails(self, probe: Probe) -> bool:
        """Return whether the probe fails, and count that. Ended faults are ignored, also while a thread runs."""
        failing = [running for running in tuple(self._failing[probe]) if running.acting()]
        for running in failing:
            running.count_act()
        return bool(failing) or (probe == "readiness" and (self._stopping or self.drained))

    def set(self, probe: Probe, running: "EffectThread", *, failing: bool) -> None:
        if failing:
            self._failing[probe].add(running)
        else:
            self._failing[probe].discard(running)


class LoopFreeze:
    """A lock for pauses of the event loop: one at a time, and the loop runs for some time between two of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._frozen = False
        self._thawed_at = -math.inf
        self._fault_acts: Callable[[], bool] = lambda: False

    def begin(self, now: float, rest: float) -> bool:
        """Begin a pause, unless one is under way or the last one ended less than `rest` seconds ago; return whether.

        Where the fault of the last pause has ended, a short rest is enough.
        """
        with self._lock:
            needed = rest if self._fault_acts() else min(rest, MIN_REST_S)
            if self._frozen or now < self._thawed_at + needed:
                return False
            self._frozen = True
            return True

    def end(self, now: float, fault_acts: Callable[[], bool]) -> None:
        """End the pause; `fault_acts` says whether its fault still acts."""
        with self._lock:
            self._frozen = False
            self._thawed_at = now
            self._fault_acts = fault_acts


class EffectThread:
    """The thread that runs one effect, and the host (`effects.base.Host`) that the effect uses."""

    def __init__(
        self,
        fault: ActiveFault,
        effect: ProcessEffect,
        runner: "ProcessEffectRunner",
        predecessor: "EffectThread | None",
    ) -> None:
        self.fault = fault
        self.effect = effect
        self._predecessor = predecessor
        self._runner = runner
        self._stopped = False
        self._wake = threading.Event()
        self.thread = threading.Thread(target=self._act, name=f"chaosapi-{effect.type}", daemon=True)

    def stop(self) -> None:
        """Stop the effect early: the service stops, or the fault was changed."""
        self._stopped = True
        self._wake.set()

    def acting(self) -> bool:
        return not self._stopped and self.fault.acts()

    def now(self) -> float:
        return time.monotonic()

    def strength(self) -> float:
        return self.fault.strength()

    def sleep(self, seconds: float, unless: Callable[[], bool] = lambda: False) -> None:
        """Sleep for `seconds`; return earlier when the fault ends or `unless` returns True."""
        until = time.monotonic() + seconds
        while self.acting() and not unless() and (left := until - time.monotonic()) > 0:
            self._wake.clear()
            if self.acting():
                self._wake.wait(max(0.0, min(left, self.fault.remaining(), _POLL_INTERVAL_S)))

    def freeze(self, seconds: float, rest: float) -> None:
        """Block the event loop for `seconds`, or until the fault ends or the service stops."""
        loop = self._runner.loop
        if loop is None or self._runner.probes.stopping():
            return
        loop_freeze = self._runner.loop_freeze
        begun = loop_freeze.begin(time.monotonic(), rest)
        if not begun:
            self.sleep(MIN_REST_S)  # after the pause of a fault that has ended, a short rest is enough
            begun = loop_freeze.begin(time.monotonic(), rest)
        if not begun:
            self.fault.counts.matched += 1
            self.fault.counts.expected += 1
            self.fault.counts.skipped["overlap"] += 1
            return
        over = threading.Event()

        def block() -> None:
            started = time.monotonic()
            if self.acting():
                self.sleep(seconds, unless=self._runner.probes.stopping)
                self.fault.counts.record_delay(seconds, time.monotonic() - started)
                self.count_act()
            loop_freeze.end(time.monotonic(), self.acting)
            over.set()

        loop.call_soon_threadsafe(block)
        while self._runner.loop and not over.wait(_POLL_INTERVAL_S):
            pass

    def burn(self, cores: float) -> None:
        self._runner.burners.use(self, cores, self.fault.remaining() if self.acting() else 0)

    def fail(self, probe: Probe, *, failing: bool) -> None:
        self._runner.probes.set(probe, self, failing=failing)

    def count_act(self) -> None:
        """Count one act; an effect on the process never skips, so that all counts grow by one."""
        self.fault.counts.matched += 1
        self.fault.counts.expected += 1
        self.fault.counts.injected += 1

    def _act(self) -> None:
        if self._predecessor:
            self._predecessor.thread.join()  # the thread of the former version releases its resources first
            self._predecessor = None
        with self.fault.on_end(self._wake.set):
            try:
                while self.acting() and (early := self.fault.early()) > 0:
                    self.sleep(min(early, _POLL_INTERVAL_S))
                if self.acting():
                    self.effect.act(self)
            except Exception:
                self.fault.counts.skipped["failed"] += 1
                log.exception("an effect on the process failed", fault=self.fault.compiled.record.name)


class ProcessEffectRunner:
    """Runs a thread for each live fault on the process; all threads release their resources when their fault ends."""

    def __init__(self) -> None:
        self.probes = Probes()
        self.loop_freeze = LoopFreeze()
        self.burners = Burners()
        self.loop: asyncio.AbstractEventLoop | None = None
        """The event loop that serves traffic; None while the service does not run, then no effect acts."""
        self._threads: dict[int, EffectThread] = {}
        self._lock = threading.Lock()

    def start(self, loop: asyncio.AbstractEventLoop, faults: Iterable[ActiveFault]) -> None:
        """Start the effects of present faults. Until then none acts: an app may be imported without being served."""
        self.loop = loop
        self.sync(faults)

    def sync(self, faults: Iterable[ActiveFault]) -> None:
        """Start the threads of new faults, stop those of changed faults; threads of ended faults stop by themselves."""
        with self._lock:
            if self.loop is None:
                return
            known = {id(fault): fault for fault in faults}
            former: dict[int, EffectThread] = {}
            for key, running in list(self._threads.items()):
                fault = known.get(key)
                if fault is None or fault.compiled.effect != running.effect or not running.acting():
                    former[key] = self._threads.pop(key)
                    former[key].stop()
            for key, fault in known.items():
                if key not in self._threads and isinstance(fault.compiled.effect, ProcessEffect) and fault.acts():
                    running = EffectThread(fault, fault.compiled.effect, self, former.get(key))
                    self._threads[key] = running
                    running.thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """Stop all threads, and wait for each of them at most `timeout` seconds."""
        with self._lock:
            self.loop = None
            for running in self._threads.values():
                running.stop()
            for running in self._threads.values():
                running.thread.join(timeout)
            self._threads.clear()
