"""The processes that use CPU time, for all cpu faults of this process together."""

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
"""How long a burner goes on without an order."""
_RENEW_AFTER_S: Final = 0.2
_SLACK: Final = 1e-9
_INHERITED_VARIABLES: Final = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
"""Python may need these in order to start; a burner gets nothing else of the environment, which may hold secrets."""


class Burners:
    """As few processes as the demanded cores take, each with the same share of a core.

    They are processes, not threads: no event loop waits for them, and they never hold Python's lock. A burner stops
    when its lease is not renewed. The lease ends with the first of the faults that it serves, and is renewed for the
    rest of them. A burner ends with the service, also if that is killed.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._demands: dict[Hashable, tuple[float, float]] = {}
        """By owner: the cores, and the end on the monotonic clock."""
        self._processes: list[subprocess.Popen[bytes]] = []
        self._last_order = (0.0, 0.0)

    def use(self, owner: Hashable, cores: float, seconds: float) -> None:
        """Use `cores` for `owner` from now on, for at most `seconds` unless called again; 0 cores end the demand.

        To be called every tenth of a second. Raises OSError where no process can be started.
        """
        with self._lock:
            if cores > 0 and seconds > 0:
                self._demands[owner] = cores, time.monotonic() + seconds
            else:
                self._demands.pop(owner, None)
            self._apply_demands()

    def _apply_demands(self) -> None:
        now = time.monotonic()
        self._demands = {owner: demand for owner, demand in self._demands.items() if demand[1] > now}
        cores = math.fsum(cores for cores, _ in self._demands.values())
        self._resize(math.ceil(cores - _SLACK))
        if not self._processes:
            return
        share = min(1.0, cores / len(self._processes))
        lease = min(now + LEASE_S, *(until for _, until in self._demands.values()))
        last_share, last_lease = self._last_order
        if share != last_share or lease < last_lease or now > last_lease - LEASE_S + _RENEW_AFTER_S:
            self._last_order = (share, lease)
            for process in self._processes:
                _send_order(process, share, lease)

    def _resize(self, count: int) -> None:
        """Keep `count` processes; dead ones are replaced."""
        kept = [process for process in self._processes if process.poll() is None][:count]
        for process in self._processes:
            if process not in kept:
                _kill_burner(process)
        self._processes = kept
        if len(kept) < count:
            self._last_order = (0.0, 0.0)  # so that new processes get an order
        while len(self._processes) < count:
            self._processes.append(_start_burner())


def _start_burner() -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        # Without site-packages, which makes the start fast; in a process group that Ctrl-C does not reach.
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
    assert process.stdin  # noqa: S101 - piped when it was started
    try:
        process.stdin.write(_burner.ORDER.pack(share, lease))
    except (BlockingIOError, BrokenPipeError):  # a stopped burner reads the order later; a dead one is replaced
        return


def _kill_burner(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.communicate()
