"""Signals to processes that hold from when the call returns."""

import signal
import time
from collections.abc import Iterable
from pathlib import Path

import psutil

from tests.patience import patience


def freeze(processes: Iterable[psutil.Process]) -> None:
    """Stop processes and return when all their threads stand: on a busy machine some run on for tens of milliseconds.

    Processes that have ended are skipped; raises TimeoutError for one that goes on.
    """
    stopped = list(processes)
    for process in stopped:
        try:
            process.send_signal(signal.SIGSTOP)
        except psutil.NoSuchProcess:
            continue
    deadline = time.monotonic() + patience(20)
    while not all(map(_stands, stopped)):
        if time.monotonic() > deadline:
            raise TimeoutError(f"some of {stopped} run on after SIGSTOP")
        time.sleep(0.001)


def _stands(process: psutil.Process) -> bool:
    try:
        states = {stat.read_text().rpartition(") ")[2][:1] for stat in Path(f"/proc/{process.pid}/task").glob("*/stat")}
    except (FileNotFoundError, ProcessLookupError):  # a thread ended between the two
        return False
    return states <= {"T", "Z", "X"}
