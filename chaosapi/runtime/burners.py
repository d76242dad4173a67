"""The processes that use CPU time for all cpu faults of this process together."""

import math
import os
import subprocess
import sys
import threading
import time
from collections.abc import Hashable
from pathlib import Path
from typing import Final

from chaosapi.runtime import _burner

LEASE_S: Final = 1.0
"""Seconds for which a burner goes on without a word from the service, at most."""
_RENEW_AFTER_S: Final = 0.2
"""Seconds after which a lease is renewed though nothing has changed."""
_SLACK: Final = 1e-9
_INHERITED_VARIABLES: Final = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
"""What Python may need in order to start; nothing else of the environment is a burner's business."""


class Burners:
    """As few processes as the demanded cores take, each with the same share of a core.

    They are no threads: no event loop waits for them, and Python's lock is left alone. A burner stops by itself when
    its lease is not renewed, and when the first of the faults that it burns for ends, until the others renew the lease.
    It ends with the service, however that ends.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._demands: dict[Hashable, tuple[float, float]] = {}
        self._processes: list[subprocess.Popen[bytes]] = []
        self._last_order = (0.0, 0.0)

    def use(self, owner: Hashable, cores: float, seconds: float) -> None:
        """Use so many cores for `who` from now on, for at most so many seconds unless this is called again.

        To be called every tenth of a second; 0 cores take the demand back. Raises OSError where no process can be
        started.
        """
        with self._lock:
            if cores > 0 and seconds > 0:
                self._demands[owner] = cores, time.monotonic() + seconds
            else:
                self._demands.pop(owner, None)
            self._apply_demands()

    def _apply_demands(self) -> None:
        now = time.monotonic()
        self._demands = {who: demand for who, demand in self._demands.items() if demand[1] > now}
        cores = math.fsum(cores for cores, _ in self._demands.values())
        self._resize(math.ceil(cores - _SLACK))
        if not self._processes:
            return
        share = min(1.0, cores / len(self._processes))
        lease = min(now + LEASE_S, *(until for _, until in self._demands.values()))
        if (
            share != self._last_order[0]
            or lease < self._last_order[1]
            or now > self._last_order[1] - LEASE_S + _RENEW_AFTER_S
        ):
            self._last_order = share, lease
            for process in self._processes:
                _send_order(process, share, lease)

    def _resize(self, count: int) -> None:
        """Have so many processes; those that have died are replaced."""
        kept = [process for process in self._processes if process.poll() is None][:count]
        for process in self._processes:
            if process not in kept:
                _kill_burner(process)
        self._processes = kept
        if len(kept) < count:
            self._last_order = (0.0, 0.0)  # so that the new ones hear it
        while len(self._processes) < count:
            self._processes.append(_start_burner())


def _start_burner() -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        # Without site-packages and in a process group of its own: it starts in no time and Ctrl-C is not for it.
        [sys.executable, "-I", "-S", "-E", str(Path(_burner.__file__))],
        stdin=subprocess.PIPE,
        bufsize=0,
        process_group=0,
        env={name: os.environ[name] for name in _INHERITED_VARIABLES if name in os.environ},
    )
    assert process.stdin  # noqa: S101 - piped above
    os.set_blocking(process.stdin.fileno(), False)
    return process


def _send_order(process: subprocess.Popen[bytes], share: float, lease: float) -> None:
    """Tell a burner how much to use; one that has died is replaced the next time, one that stands reads it later."""
    assert process.stdin  # noqa: S101 - piped when it was started
    try:
        process.stdin.write(_burner.ORDER.pack(share, lease))
    except (BlockingIOError, BrokenPipeError):
        return


def _kill_burner(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.communicate()
