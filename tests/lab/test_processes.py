import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from chaosapi.lab.errors import NotReadyError, PartDiedError
from chaosapi.lab.processes import Programs
from tests.patience import patience

SLEEPER = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)",
]
PARENT = [
    sys.executable,
    "-c",
    "import subprocess, sys; p = subprocess.Popen(['sleep', '600']); print(p.pid, flush=True); p.wait()",
]

LAB = """
    import sys
    from pathlib import Path
    from chaosapi.lab.processes import Programs
    from chaosapi.lab.signals import stoppable
    with stoppable(), Programs(Path(sys.argv[1])) as parts:
        started = [parts.start(name, ["sleep", "600"]).process.pid for name in ("one", "two")]
        print(*started, flush=True)
        parts.wait_until(lambda: False, "the end", timeout=600)
"""


def eventually(condition: Callable[[], bool]) -> bool:
    """Wait for a condition, longer on a busy machine."""
    deadline = time.monotonic() + patience(30)
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def gone(pid: int) -> bool:
    """Return whether a process has ended; a zombie counts as ended."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def said(log: Path) -> bool:
    """Return whether a part wrote a line."""
    return log.read_text().endswith("\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_every_end_of_the_lab_ends_its_parts(number: signal.Signals, tmp_path: Path) -> None:
    """After Ctrl-C, SIGTERM, a closed terminal or even SIGKILL of the lab, no part runs."""
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(LAB), str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as lab:
        assert lab.stdout is not None
        pids = [int(word) for word in lab.stdout.readline().split()]
        assert len(pids) == 2
        assert not any(gone(pid) for pid in pids)
        lab.send_signal(number)
    assert eventually(lambda: all(gone(pid) for pid in pids))


def test_a_crash_of_one_part_ends_all_and_is_reported(tmp_path: Path) -> None:
    """The part is named with its exit status and the end of its log, and the others are stopped."""
    with Programs(tmp_path) as parts:
        healthy = parts.start("healthy", SLEEPER)
        parts.start("fragile", [sys.executable, "-c", "import sys; print('the disk is full'); sys.exit(3)"])
        with pytest.raises(PartDiedError, match=r"(?s)fragile ended with status 3.*the disk is full"):
            parts.wait_until(lambda: False, "nothing")
    assert gone(healthy.process.pid)


def test_a_killed_part_is_reported(tmp_path: Path) -> None:
    """The report has the signal's name."""
    with Programs(tmp_path) as parts:
        part = parts.start("victim", SLEEPER)
        os.kill(part.process.pid, signal.SIGKILL)
        with pytest.raises(PartDiedError, match="victim was killed by SIGKILL"):
            parts.wait_until(lambda: False, "nothing")


def test_a_part_that_ignores_sigterm_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After SIGTERM and a time-out."""
    monkeypatch.setattr("chaosapi.lab.processes._STOP_TIMEOUT_S", 0.1)
    with Programs(tmp_path) as parts:
        part = parts.start("stubborn", STUBBORN)
        parts.wait_until(lambda: said(part.log), "its first line")
    assert part.process.returncode == -signal.SIGKILL


def test_the_children_of_a_part_are_stopped_too(tmp_path: Path) -> None:
    """They end with the part."""
    with Programs(tmp_path) as parts:
        part = parts.start("parent", PARENT)
        parts.wait_until(lambda: said(part.log), "its first line")
    grandchild = int(part.log.read_text())
    assert eventually(lambda: gone(grandchild))


def test_parts_stop_in_reverse_order(tmp_path: Path) -> None:
    """The last part may need the others."""
    order = tmp_path / "order"
    script = (
        "import signal, sys, time\n"
        "def stop(*_):\n    open(sys.argv[1], 'a').write(sys.argv[2] + '\\n')\n    sys.exit()\n"
        "signal.signal(signal.SIGTERM, stop)\nprint('up', flush=True)\ntime.sleep(600)\n"
    )
    with Programs(tmp_path) as parts:
        for name in ("service", "prometheus"):
            part = parts.start(name, [sys.executable, "-c", script, str(order), name])
            parts.wait_until(lambda log=part.log: said(log), "its first line")  # type: ignore[misc]
    assert order.read_text().split() == ["prometheus", "service"]


def test_a_part_that_is_not_ready_in_time_is_an_error(tmp_path: Path) -> None:
    """The error has the condition and the time-out."""
    with pytest.raises(NotReadyError, match=r"the service on port 1: not within 0\.1 s"), Programs(tmp_path) as parts:
        parts.wait_until(lambda: False, "the service on port 1", timeout=0.1)


def test_a_part_of_a_dead_lab_does_not_start(tmp_path: Path) -> None:
    """The wrapper with PR_SET_PDEATHSIG refuses to start a program after the lab has died."""
    from chaosapi.lab import parent_death

    done = subprocess.run(
        [sys.executable, parent_death.__file__, "-1", "touch", str(tmp_path / "ran")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "the lab is gone" in done.stderr
    assert not (tmp_path / "ran").exists()
