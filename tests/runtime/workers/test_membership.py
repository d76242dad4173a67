import asyncio
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from chaosapi.runtime.workers.membership import Membership, join
from chaosapi.runtime.workers.servers import WorkerServer, find_server, identity, is_running
from tests.patience import until

HOLD = """
import sys
from chaosapi.runtime.workers.membership import join
from chaosapi.runtime.workers.servers import WorkerServer, identity

member = join(WorkerServer("test", identity(int(sys.argv[1]))))
print(member.slot, flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))


def another_worker(parent: int) -> tuple[subprocess.Popen[str], int]:
    """Start a process that joins the server `test`, and return it with its slot."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(parent)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    return process, int(process.stdout.readline())


def end(process: subprocess.Popen[str]) -> None:
    """Kill the process with SIGKILL."""
    process.send_signal(signal.SIGKILL)
    process.communicate()


def test_each_worker_has_a_slot_and_a_killed_one_leaves_it_to_the_next(tmp_path: Path) -> None:
    """Also its files, except its gauges."""
    me = join(WorkerServer("test", identity(os.getpid())))
    other, slot = another_worker(os.getpid())
    assert (me.slot, me.first, slot) == (0, True, 1)
    for name in ("counter_1.db", "gauge_livesum_1.db"):
        (me.folder / name).touch()
    end(other)
    after, slot = another_worker(os.getpid())
    assert slot == 1
    assert (me.folder / "counter_1.db").exists()
    assert not (me.folder / "gauge_livesum_1.db").exists()
    me.leave()
    assert me.folder.exists()
    end(after)
    last = join(WorkerServer("test", identity(os.getpid())))
    assert (last.slot, last.first) == (0, True)
    last.leave()
    last.leave()
    assert list(tmp_path.iterdir()) == []


def test_all_workers_see_a_kill_switch() -> None:
    """Through shared memory."""
    server = WorkerServer("test", identity(os.getpid()))
    one = join(server)
    other = join(server)
    one.kill_flags.raise_own(1.0, 1.0, halted=True)
    assert [flag.halted for flag in other.kill_flags.flags()] == [True]
    one.leave()
    other.leave()


def test_the_folder_stays_while_the_server_may_start_workers(tmp_path: Path) -> None:
    """After all workers and the server have died, the next start removes it."""
    parent = subprocess.Popen(["sleep", "60"])
    end(another_worker(parent.pid)[0])
    (left,) = tmp_path.iterdir()
    join(WorkerServer("other", identity(os.getpid()))).leave()
    assert left.exists()
    parent.kill()
    parent.wait()
    join(WorkerServer("other", identity(os.getpid()))).leave()
    assert not left.exists()


def sweep(member: Membership, swept: Callable[[], bool]) -> None:
    """Run the jobs of a member until they have done something."""

    async def run() -> None:
        running = asyncio.create_task(member.run())
        await asyncio.to_thread(until, swept)
        running.cancel()

    asyncio.run(run())


def test_workers_that_have_ended_leave_no_file_behind() -> None:
    """A server may replace a worker every second, for months; one that has not ended yet must stay known."""
    me = join(WorkerServer("test", identity(os.getpid())))
    with subprocess.Popen(["true"]) as ended:
        pass
    markers = [me.folder / f"left-{pid}" for pid in (ended.pid, os.getpid())]
    for marker in markers:
        marker.touch()
    sweep(me, lambda: not markers[0].exists())
    assert markers[1].exists()
    me.leave()


def test_the_locks_look_used_to_a_program_that_cleans_the_temporary_folder() -> None:
    """It removes files that were not used for days; without the locks, two workers would count in one slot."""
    me = join(WorkerServer("test", identity(os.getpid())))
    files = [me.folder / name for name in ("slots", "slot-0", "lock", "kill-flags")]
    for file in files:
        os.utime(file, (0, 0))
    sweep(me, lambda: all(file.stat().st_mtime for file in files))
    me.leave()


def test_a_folder_that_others_can_write_is_refused(tmp_path: Path) -> None:
    """Its name can be guessed, so another user may have created it."""
    mine = join(WorkerServer("test", identity(os.getpid())))
    mine.leave()
    mine.folder.mkdir()
    mine.folder.chmod(0o777)
    with pytest.raises(RuntimeError, match="TMPDIR"):
        join(WorkerServer("test", identity(os.getpid())))
    mine.folder.rmdir()
    (tmp_path / "elsewhere").mkdir(0o700)
    mine.folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RuntimeError, match="TMPDIR"):
        join(WorkerServer("test", identity(os.getpid())))


def test_a_single_process_has_no_server() -> None:
    """Nor has a multiprocessing child of another parent."""
    assert find_server() is None
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(find_server) is None


def test_an_identity_is_that_of_one_process() -> None:
    """While it runs; a later process has another identity."""
    process = subprocess.Popen(["sleep", "60"])
    found = identity(process.pid)
    assert found == identity(process.pid) != identity(os.getpid())
    assert is_running(found)
    assert not is_running(found.replace(f"{process.pid}-", f"{process.pid}-1"))
    process.kill()
    process.wait()
    assert not is_running(found)
