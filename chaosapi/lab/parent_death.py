"""Run a program that the kernel kills when the lab dies: python parent_death.py <lab's pid> program ….

A process of its own, because doing this between fork and exec (preexec_fn) can deadlock once there are threads.
Linux only (prctl(2), PR_SET_PDEATHSIG, kept across execve); elsewhere just the orderly ways of stopping remain.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def exec_with_parent_death_signal() -> None:
    """Request the signal, check that the lab still runs, and execute the program."""
    lab, *command = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(lab):  # it died before prctl: no signal would ever come
        sys.exit("the lab is gone")
    os.execvp(command[0], command)  # noqa: S606 (becoming another program is the point)


if __name__ == "__main__":
    exec_with_parent_death_signal()
