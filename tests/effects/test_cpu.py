import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from chaosapi.effects.cpu import Cpu
from chaosapi.runtime import _burner
from chaosapi.runtime.burners import Burners
from tests.effects.hosts import Host
from tests.patience import patience, until
from tests.planes import started


def burners(pid: int | None = None) -> list[psutil.Process]:
    """Return the burner processes of a process; by default of this one."""
    return [child for child in psutil.Process(pid).children() if not gone(child) and "_burner.py" in _command(child)]


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""  # it has ended meanwhile


def gone(process: psutil.Process) -> bool:
    """Return whether the process has ended; a zombie counts as ended."""
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def used(processes: list[psutil.Process]) -> float:
    """Return the CPU time of the processes in seconds."""
    return sum(each.cpu_times().user + each.cpu_times().system for each in processes)


def test_the_load_follows_the_strength_and_ends() -> None:
    """With as many processes as needed; at strength 0 there are none."""
    host = Host()
    thread = threading.Thread(target=Cpu(cores=1.5).act, args=(host,))
    thread.start()
    try:
        until(lambda: len(burners()) == 2)
        at_work = burners()
        until(lambda: used(at_work) > 0.2)
        host.power = 0
        until(lambda: burners() == [])
        host.power = 0.5
        until(lambda: len(burners()) == 1)
    finally:
        host.over.set()
        thread.join()
    assert burners() == []
    assert host.acts == 1


def idle(processes: list[psutil.Process]) -> bool:
    """Return whether the processes are idle for a while: on a busy machine an active burner may just not run."""
    before = used(processes)
    for _ in range(10):
        if any(each.status() != psutil.STATUS_SLEEPING for each in processes):
            return False
        time.sleep(0.02)
    return used(processes) == before


@pytest.fixture
def pool() -> Iterator[Burners]:
    """Yield burners that are stopped afterwards."""
    made = Burners()
    yield made
    for who in range(200):
        made.use(who, 0, 0)
    assert burners() == []


def test_all_faults_share_as_few_processes_as_their_cores_take(pool: Burners) -> None:
    """A hundred hundredths are one core; a killed process is replaced."""
    for who in range(100):
        pool.use(who, 0.01, 60)
    (burner,) = burners()
    for who in range(100, 150):
        pool.use(who, 0.01, 60)
    assert len(burners()) == 2
    burner.kill()
    until(lambda: gone(burner))
    pool.use(0, 0.01, 60)
    assert len(burners()) == 2
    for who in range(150):
        pool.use(who, 0, 0)
    assert burners() == []


def test_a_burner_stops_without_renewals_of_its_lease_and_resumes_with_them(pool: Burners) -> None:
    """The parent sends nothing for longer than a lease, as a frozen service does."""
    for _ in range(2):
        pool.use(0, 1, 3600)
        aim = used(burners()) + 0.2
        while used(burners()) < aim:
            pool.use(0, 1, 3600)
            time.sleep(0.05)
        until(lambda: idle(burners()))


def test_a_burner_stops_at_the_faults_end_by_its_own_clock(pool: Burners) -> None:
    """Before its lease expires: its CPU time is less than that of a whole lease."""
    pool.use(0, 1, 0.3)
    until(lambda: used(burners()) > 0)
    until(lambda: idle(burners()))
    assert used(burners()) < 0.3 + 0.1  # starting Python is not for nothing


def test_a_burner_has_no_secrets(pool: Burners, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its environment has no token."""
    monkeypatch.setenv("CHAOSAPI_ADMIN_TOKEN", "secret")
    pool.use(0, 0.01, 60)
    (burner,) = burners()
    assert set(burner.environ()) <= {"LD_LIBRARY_PATH", "LC_CTYPE"}


def test_a_burner_keeps_to_its_share() -> None:
    """A fifth of a core: at most that share of the elapsed time, also on a busy machine."""
    command = [sys.executable, "-I", "-S", str(Path(_burner.__file__))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, bufsize=0) as process:
        assert process.stdin
        burner = psutil.Process(process.pid)
        begun = time.monotonic()
        process.stdin.write(_burner.ORDER.pack(0.2, time.monotonic() + 3600))
        until(lambda: used([burner]) > 0.2)
        assert used([burner]) < 0.2 * (time.monotonic() - begun) + 0.1  # starting Python is not for nothing
    assert process.returncode == 0


@pytest.mark.slow
def test_no_burner_outlives_a_frozen_service_by_more_than_its_lease(tmp_path: Path) -> None:
    """Faults of an hour and of a second; the service is stopped, as by a debugger, and resumes."""
    with started(tmp_path / "log") as planes:
        planes.inject({"type": "cpu", "cores": 2}, schedule={"duration": "1h"})
        until(lambda: used(burners(planes.process.pid)) > 0.2)
        planes.process.send_signal(signal.SIGSTOP)
        try:
            until(lambda: idle(burners(planes.process.pid)))
        finally:
            planes.process.send_signal(signal.SIGCONT)
        before = used(burners(planes.process.pid))
        until(lambda: used(burners(planes.process.pid)) > before + 0.2)
        planes.end()
        until(lambda: burners(planes.process.pid) == [])


@pytest.mark.slow
@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL])
def test_no_burner_outlives_the_service(ending: signal.Signals, tmp_path: Path) -> None:
    """Also after SIGKILL, without a clean-up."""
    with started(tmp_path / "log") as planes:
        planes.inject({"type": "cpu", "cores": 2}, schedule={"duration": "1h"})
        until(lambda: len(burners(planes.process.pid)) == 2)
        orphans = burners(planes.process.pid)
        planes.process.send_signal(ending)
        assert planes.process.wait(patience(30)) == (-ending if ending == signal.SIGKILL else 0)
        until(lambda: all(gone(each) for each in orphans))


def test_a_failed_start_of_a_process_is_an_error_without_leftovers() -> None:
    """The effect raises, and no process is left."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "executable", "/nowhere/python")
        with pytest.raises(FileNotFoundError):
            Cpu().act(Host())
    assert burners() == []
