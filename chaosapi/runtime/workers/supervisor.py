"""The parent of several workers: it starts them, restarts those that die, and ends together with all of them."""

import asyncio
import contextlib
import os
import signal
import socket
from asyncio.subprocess import Process
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from chaosapi.logger import get_logger
from chaosapi.runtime.acceptor import drop_new_connections
from chaosapi.runtime.workers.worker import READY

_STABLE_AFTER_S: Final = 10.0
"""How long a worker has to run to be restarted without back-off."""
_FIRST_BACK_OFF_S: Final = 0.5
_MAX_DOUBLINGS: Final = 5
"""How often the back-off doubles at most: it begins with the second early death in a row, and doubles with each."""
_STOP_TIMEOUT_S: Final = 90.0
"""Workers that have not stopped by then are killed; a pause effect blocks a worker for at most 60 s."""

log = get_logger("chaosapi.runtime.workers")


class NotStartedError(Exception):
    """The first worker exited before any worker was ready; its log says why. `status` is its exit status."""

    def __init__(self, status: int) -> None:
        super().__init__("a worker could not start")
        self.status = status


@dataclass(frozen=True)
class Launch:
    """Everything that a worker gets from its parent."""

    command: Callable[[int, int], Sequence[str]]
    """Returns the command line for a slot and the file descriptor of the pipe to the parent."""
    settings: bytes
    """A line that the worker reads from the pipe. Not in its environment, which other processes may read."""
    sockets: Sequence[socket.socket] = ()
    """Listening sockets, inherited under the same descriptors."""
    files: Sequence[int] = ()
    """Further descriptors to inherit."""


class WorkerSupervisor:
    """Keeps a number of workers running, each in a slot.

    `mark_dead` is called with the slot of every worker that has ended. Workers accept connections for `drain_delay`
    seconds after a signal to stop.
    """

    def __init__(self, launch: Launch, mark_dead: Callable[[int], None], drain_delay: float = 0.0) -> None:
        self._launch = launch
        self._mark_dead = mark_dead
        self._drain_delay = drain_delay
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("CHAOSAPI_")}
        self._stopping = asyncio.Event()
        self._workers: dict[int, tuple[Process, socket.socket]] = {}
        """By slot: the process and our end of the pipe. The worker's end reads EOF when this process dies."""

    async def run(self, count: int, serving: Callable[[], None]) -> None:
        """Run workers until a signal to stop; call `serving` once every worker is ready, or has failed once.

        Raises NotStartedError where the first worker exits before it is ready: the settings do not fit. A worker that
        ends later, or that is killed, is restarted with back-off.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._terminate_workers)
        try:
            await self._start_first_worker()  # alone, so that an error that stops every worker is logged once
            await asyncio.gather(*map(self._start_worker, range(1, count)))
            if not self._stopping.is_set():
                serving()
            await asyncio.gather(*map(self._keep_worker_alive, range(count)))
        finally:
            if self._workers:
                self._terminate_workers()
                await asyncio.gather(*map(self._wait_for_exit, list(self._workers)))

    def _terminate_workers(self) -> None:
        """Send SIGTERM to all workers; the second time, or after the time-out, kill them."""
        loop = asyncio.get_running_loop()
        again = self._stopping.is_set()
        self._stopping.set()
        for process, _ in self._workers.values():
            with contextlib.suppress(ProcessLookupError):
                process.kill() if again else process.terminate()
        if again:
            self._stop_listening()
        else:
            loop.call_later(self._drain_delay, self._stop_listening)
            loop.call_later(_STOP_TIMEOUT_S, self._terminate_workers)

    def _stop_listening(self) -> None:
        """Refuse new connections: the workers do not accept them any more."""
        for bound in self._launch.sockets:
            with contextlib.suppress(OSError):  # closed the first time
                drop_new_connections(bound)
            bound.close()

    async def _start_first_worker(self) -> None:
        """Start the first worker; restart it where it is killed meanwhile, for example when memory is short."""
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
        """Start a worker and return whether it became ready; otherwise it has ended, is about to, or never existed."""
        if self._stopping.is_set():
            return False
        pipe, parent_pipe = socket.socketpair()
        pipe.setblocking(False)
        pipe.send(self._launch.settings)
        try:
            with parent_pipe:
                sockets = [bound.fileno() for bound in self._launch.sockets]
                inherited = [parent_pipe.fileno(), *self._launch.files, *sockets]
                command = self._launch.command(slot, parent_pipe.fileno())
                process = await asyncio.create_subprocess_exec(*command, pass_fds=inherited, env=self._environment)
        except OSError as error:
            log.error("a worker cannot be started", slot=slot, reason=str(error))  # noqa: TRY400 - the reason says it all
            pipe.close()
            return False
        self._workers[slot] = process, pipe
        if self._stopping.is_set():
            process.terminate()
        try:
            return await asyncio.get_running_loop().sock_recv(pipe, 1) == READY
        except ConnectionError:  # the worker was killed before it had read its settings
            return False

    async def _wait_for_exit(self, slot: int) -> int | None:
        """Wait until the worker has ended, clean up after it, and return its status; None for an empty slot."""
        if slot not in self._workers:
            return None
        process, pipe = self._workers[slot]
        status = await process.wait()
        pipe.close()
        del self._workers[slot]
        with contextlib.suppress(OSError):  # the next worker starts also where the disk fails
            self._mark_dead(slot)
        return status

    async def _keep_worker_alive(self, slot: int) -> None:
        loop = asyncio.get_running_loop()
        deaths = 0
        while slot in self._workers or not self._stopping.is_set():
            started = loop.time()
            status = await self._wait_for_exit(slot)
            deaths = deaths + 1 if loop.time() < started + _STABLE_AFTER_S else 0
            await self._back_off(slot, status, deaths)
            await self._start_worker(slot)

    async def _back_off(self, slot: int, status: int | None, deaths: int) -> None:
        """Log that a worker has ended, and wait before its restart; longer after each early death in a row."""
        if self._stopping.is_set():
            return
        pause = _FIRST_BACK_OFF_S * 2 ** min(deaths - 2, _MAX_DOUBLINGS) if deaths > 1 else 0.0
        log.warning("a worker ended, another one takes its place", slot=slot, status=status, after=pause)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), pause)
