"""The parent of several workers: it starts them, starts again those that die, and ends with all of them."""

import asyncio
import contextlib
import os
import signal
import socket
from asyncio.subprocess import Process
from collections.abc import Callable, Sequence
from typing import Final

from chaosapi.logger import get_logger
from chaosapi.runtime.acceptor import drop_new_connections
from chaosapi.runtime.workers.worker import READY

_STABLE_AFTER_S: Final = 10.0
"""A worker that served for so many seconds is started again at once."""
_FIRST_BACK_OFF_S: Final = 0.5
"""Seconds before the second of several early deaths is made good; doubled with each, but so often at most."""
_MAX_DOUBLINGS: Final = 5
_STOP_TIMEOUT_S: Final = 90.0
"""Seconds that workers have to stop in: one that stands in a pause, at most 60 s, hears it only afterwards."""

log = get_logger("chaosapi.runtime.workers")


class NotStartedError(Exception):
    """The first worker ended before any had served; its own last lines say why. `status` is what it exited with."""

    def __init__(self, status: int) -> None:
        super().__init__("a worker could not start")
        self.status = status


class WorkerSupervisor:
    """So many workers, each in a slot.

    `command` gives the command line for a slot and the number of its tether, a file descriptor; `sockets` are those
    that it inherits, and `files` descriptors of more, under the same numbers. What it has to know besides is
    `settings`, a line that it reads from the tether: its environment could be read by others, and has no settings in
    it. `bury` is called with the slot of every worker that has ended. The workers accept connections for `delay`
    seconds after they were told to stop.
    """

    def __init__(
        self,
        command: Callable[[int, int], Sequence[str]],
        sockets: Sequence[socket.socket],
        settings: bytes,
        mark_dead: Callable[[int], None],
        files: Sequence[int] = (),
        delay: float = 0.0,
    ) -> None:
        self._command, self._sockets, self._settings, self._mark_dead = command, sockets, settings, mark_dead
        self._files, self._delay = files, delay
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("CHAOSAPI_")}
        self._stopping = asyncio.Event()
        self._workers: dict[int, tuple[Process, socket.socket]] = {}
        """By slot: the process and the tether, which tells it when this one dies."""

    async def run(self, count: int, serving: Callable[[], None]) -> None:
        """Work until a signal says to stop; calls `serving` when all of them are ready, or have failed once.

        Raises NotStartedError where the first one exits before it has served: the settings do not fit. Whatever
        becomes of a worker after that, or if it is killed, another one is tried, ever later.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._terminate_workers)
        try:
            await self._start_first_worker()  # goes ahead: what keeps all of them from starting is said once
            await asyncio.gather(*map(self._start_worker, range(1, count)))
            if not self._stopping.is_set():
                serving()
            await asyncio.gather(*map(self._keep_worker_alive, range(count)))
        finally:
            if self._workers:
                self._terminate_workers()
                await asyncio.gather(*map(self._wait_for_exit, list(self._workers)))

    def _terminate_workers(self) -> None:
        """Ask all to stop; the second time, and when their time is over, kill them."""
        loop, again = asyncio.get_running_loop(), self._stopping.is_set()
        self._stopping.set()
        for process, _ in self._workers.values():
            with contextlib.suppress(ProcessLookupError):
                process.kill() if again else process.terminate()
        if again:
            self._stop_listening()
        else:
            loop.call_later(self._delay, self._stop_listening)
            loop.call_later(_STOP_TIMEOUT_S, self._terminate_workers)

    def _stop_listening(self) -> None:
        """Let no connection begin that nobody would accept any more."""
        for bound in self._sockets:
            with contextlib.suppress(OSError):  # closed the first time
                drop_new_connections(bound)
            bound.close()

    async def _start_first_worker(self) -> None:
        """Start the first worker; if it is killed meanwhile, by the system for want of memory say, start it again."""
        deaths = 0
        while not self._stopping.is_set() and not await self._start_worker(0):
            status = await self._wait_for_exit(0)
            if self._stopping.is_set():
                return
            if status is not None and status > 0:
                raise NotStartedError(status)
            deaths += 1
            await self._back_off(0, status, deaths)

    async def _start_worker(self, slot: int) -> bool:
        """Start a worker and tell whether it came to serve; else it has ended, is about to, or was never there."""
        if self._stopping.is_set():
            return False
        tether, its = socket.socketpair()
        tether.setblocking(False)
        tether.send(self._settings)
        try:
            with its:
                inherited = [its.fileno(), *self._files, *(bound.fileno() for bound in self._sockets)]
                command = self._command(slot, its.fileno())
                process = await asyncio.create_subprocess_exec(*command, pass_fds=inherited, env=self._environment)
        except OSError as error:
            log.error("a worker cannot be started", slot=slot, reason=str(error))  # noqa: TRY400 - all there is to say
            tether.close()
            return False
        self._workers[slot] = process, tether
        if self._stopping.is_set():
            process.terminate()
        try:
            return await asyncio.get_running_loop().sock_recv(tether, 1) == READY
        except ConnectionError:  # it was killed before it had read its settings
            return False

    async def _wait_for_exit(self, slot: int) -> int | None:
        """Wait for the worker's end, clean up after it, and return its status; None where there is none."""
        if slot not in self._workers:
            return None
        process, tether = self._workers[slot]
        status = await process.wait()
        tether.close()
        del self._workers[slot]
        with contextlib.suppress(OSError):  # a disk that fails is no reason to do without a worker
            self._mark_dead(slot)
        return status

    async def _keep_worker_alive(self, slot: int) -> None:
        """See to it that there is a worker in this slot."""
        loop, deaths = asyncio.get_running_loop(), 0
        while slot in self._workers or not self._stopping.is_set():
            started = loop.time()
            status = await self._wait_for_exit(slot)
            deaths = deaths + 1 if loop.time() < started + _STABLE_AFTER_S else 0
            await self._back_off(slot, status, deaths)
            await self._start_worker(slot)

    async def _back_off(self, slot: int, status: int | None, deaths: int) -> None:
        """Say that a worker has ended, and wait before the next one: the longer, the more often it died early."""
        if self._stopping.is_set():
            return
        pause = _FIRST_BACK_OFF_S * 2 ** min(deaths - 2, _MAX_DOUBLINGS) if deaths > 1 else 0.0
        log.warning("a worker ended, another one takes its place", slot=slot, status=status, after=pause)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), pause)
