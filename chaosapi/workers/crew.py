"""The parent of several workers: it starts them, starts again those that die, and ends with all of them."""

import asyncio
import contextlib
import os
import signal
import socket
from asyncio.subprocess import Process
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import structlog

from chaosapi.workers.worker import READY

_STEADY: Final = 10.0
"""A worker that served for so many seconds is started again at once."""
_BACK_OFF: Final = 0.5
"""Seconds before the second of several early deaths is made good; doubled with each, but so often at most."""
_DOUBLED: Final = 5
_PATIENCE: Final = 90.0
"""Seconds that workers have to stop in: one that stands in a pause, at most 60 s, hears it only afterwards."""

log = structlog.stdlib.get_logger("chaosapi.workers")


class NotStartedError(Exception):
    """A worker ended before it served anything; its own last lines say why. `status` is what it exited with."""

    def __init__(self, status: int) -> None:
        super().__init__("a worker could not start")
        self.status = status


class Crew:
    """So many workers, each in a slot.

    `command` gives the command line for a slot and the number of its tether, a file descriptor; `sockets` are those
    that it inherits, and `files` descriptors of more, under the same numbers. `bury` is called with the slot of every
    worker that has ended.
    """

    def __init__(
        self,
        command: Callable[[int, int], Sequence[str]],
        sockets: Sequence[socket.socket],
        environment: Mapping[str, str],
        bury: Callable[[int], None],
        files: Sequence[int] = (),
    ) -> None:
        self._command, self._sockets, self._bury, self._files = command, sockets, bury, files
        self._environment = {**os.environ, **environment}
        self._leaving = asyncio.Event()
        self._living: dict[int, tuple[Process, socket.socket]] = {}
        """By slot: the process and the tether, which tells it when this one dies."""

    async def run(self, count: int, serving: Callable[[], None]) -> None:
        """Work until a signal says to stop; calls `serving` when all of them are ready.

        Raises NotStartedError where one of the first does not come so far; the others are stopped.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._leave)
        try:
            await self._first(0)  # goes ahead: what keeps all of them from starting is said once
            for error in await asyncio.gather(*map(self._first, range(1, count)), return_exceptions=True):
                if error:
                    raise error
            if not self._leaving.is_set():
                serving()
            await asyncio.gather(*map(self._keep, range(count)))
        finally:
            if self._living:
                self._leave()
                await asyncio.gather(*map(self._ended, list(self._living)))

    def _leave(self) -> None:
        """Ask all to stop; the second time, and when their time is over, kill them."""
        again = self._leaving.is_set()
        self._leaving.set()
        for bound in self._sockets:
            bound.close()
        for process, _ in self._living.values():
            with contextlib.suppress(ProcessLookupError):
                process.kill() if again else process.terminate()
        if not again:
            asyncio.get_running_loop().call_later(_PATIENCE, self._leave)

    async def _first(self, slot: int) -> None:
        if not self._leaving.is_set() and not await self._start(slot) and not self._leaving.is_set():
            raise NotStartedError(await self._ended(slot))

    async def _start(self, slot: int) -> bool:
        """Start a worker and tell whether it came to serve; else it has ended, or is about to."""
        tether, its = socket.socketpair()
        tether.setblocking(False)
        with its:
            inherited = [its.fileno(), *self._files, *(bound.fileno() for bound in self._sockets)]
            command = self._command(slot, its.fileno())
            process = await asyncio.create_subprocess_exec(*command, pass_fds=inherited, env=self._environment)
        self._living[slot] = process, tether
        if self._leaving.is_set():
            process.terminate()
        return await asyncio.get_running_loop().sock_recv(tether, 1) == READY

    async def _ended(self, slot: int) -> int:
        """Wait for the worker's end, clean up after it, and return its status."""
        process, tether = self._living[slot]
        status = await process.wait()
        tether.close()
        del self._living[slot]
        self._bury(slot)
        return status

    async def _keep(self, slot: int) -> None:
        """See to it that there is a worker in this slot."""
        loop, deaths = asyncio.get_running_loop(), 0
        while slot in self._living:
            started, pid = loop.time(), self._living[slot][0].pid
            status = await self._ended(slot)
            deaths = deaths + 1 if loop.time() < started + _STEADY else 0
            pause = _BACK_OFF * 2 ** min(deaths - 2, _DOUBLED) if deaths > 1 else 0.0
            if not self._leaving.is_set():
                how = {"slot": slot, "pid": pid, "status": status, "after": pause}
                log.warning("a worker ended, another one takes its place", **how)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._leaving.wait(), pause)
            if not self._leaving.is_set():
                await self._start(slot)
