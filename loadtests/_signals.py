"""Signals end a run in order, so that its summary, report and verdict come."""

import os
import signal
import sys
from collections.abc import Iterator
from types import FrameType

import gevent
from _coordinator import Coordinator
from gevent.hub import get_hub
from locust.env import Environment
from locust.runners import STATE_INIT, MasterRunner, Runner

_NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def exit_before_start() -> None:
    """End Locust with one line if a signal comes while it starts; an interrupt would print a traceback of imports.

    Signals that came before, and were blocked, come now.
    """
    for number in _heeded():
        signal.signal(number, _exit)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _NUMBERS)


class RunEnd:
    """Ends the run at a signal, and Locust with it; a second signal ends Locust at once.

    Locust alone dies of a SIGTERM that comes during a shape, and of each SIGHUP, and prints the traceback of an
    interrupt that comes while it waits for workers.
    """

    def __init__(self, environment: Environment, runner: Runner, coordinator: Coordinator) -> None:
        options = environment.parsed_options
        self._headless = bool(options and options.headless)
        self._environment = environment
        self._runner = runner
        self._coordinator = coordinator
        self._passed_on = False
        for number in _heeded():
            gevent.signal_handler(number, self._end, number)

    def _end(self, number: int) -> None:
        if self._passed_on:
            return
        if self._coordinator.signal:
            raise SystemExit(128 + number)
        self._coordinator.signal = signal.Signals(number).name
        if self._headless and self._runner.shape_greenlet:
            self._runner.shape_greenlet.kill(block=False)  # Locust waits for it, and then quits
        elif self._headless and self._is_waiting_for_workers():
            self._environment.events.quitting.fire(environment=self._environment, reverse=True)  # type: ignore[no-untyped-call]  # Locust's is untyped
            raise SystemExit(self._environment.process_exit_code or 128 + number)
        elif number != signal.SIGTERM:  # which Locust heeds in all other states
            self._pass_on()

    def _is_waiting_for_workers(self) -> bool:
        return isinstance(self._runner, MasterRunner) and self._runner.state == STATE_INIT

    def _pass_on(self) -> None:
        """Let Locust end as it does at an interrupt, or at SIGTERM where an interrupt would leave its page open."""
        if self._runner.shape_greenlet:
            self._passed_on = True
            os.kill(os.getpid(), signal.SIGTERM)
        elif (main := get_hub().parent) is not None:
            get_hub().loop.run_callback(main.throw, KeyboardInterrupt())


def _heeded() -> Iterator[signal.Signals]:
    """Yield the signals that are not ignored, as `nohup` and the background of a script ignore some."""
    return (number for number in _NUMBERS if signal.getsignal(number) is not signal.SIG_IGN)


def _exit(number: int, _: FrameType | None) -> None:
    sys.stderr.write(f"{signal.Signals(number).name}: stopped before a run was started, so no condition is met\n")
    raise SystemExit(128 + number)
