"""The parent, with workers that are small programs of the test."""

import asyncio
import errno
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from chaosapi.runtime.workers.supervisor import Launch, NotStartedError, WorkerSupervisor
from tests.captured import captured
from tests.patience import patience

READY = "import os, sys, time; os.write(int(sys.argv[2]), b'+')"


def supervisor(program: str, buried: list[int]) -> WorkerSupervisor:
    """Return a supervisor whose workers run a Python program; its arguments are the slot and the pipe to the parent."""

    def command(slot: int, parent_pipe: int) -> Sequence[str]:
        return [sys.executable, "-S", "-c", program, str(slot), str(parent_pipe)]

    return WorkerSupervisor(Launch(command, b"settings\n"), buried.append)


def leave() -> None:
    """Send SIGINT."""
    os.kill(os.getpid(), signal.SIGTERM)


def test_all_workers_start_after_the_first_one_and_end_with_a_signal() -> None:
    """The supervisor reports when all are ready."""
    buried: list[int] = []
    asyncio.run(supervisor(f"{READY}; time.sleep(600)", buried).run(3, leave))
    assert sorted(buried) == [0, 1, 2]


def test_a_failed_start_of_the_first_worker_is_reported_once() -> None:
    """The others are not started; the exit status is the worker's."""
    with pytest.raises(NotStartedError) as caught:
        asyncio.run(supervisor("import sys; assert sys.argv[1] == '0'; sys.exit(7)", []).run(3, leave))
    assert caught.value.status == 7


def test_a_later_failed_start_is_retried() -> None:
    """The first worker has shown that the settings are valid."""
    program = f"import sys; sys.exit(7) if sys.argv[1] == '2' else None; {READY}; time.sleep(600)"
    assert again(supervisor(program, []), 3) == [(2, 7, 0), (2, 7, 0.5), (2, 7, 1)]


def test_a_worker_that_is_killed_during_its_start_is_restarted(tmp_path: Path) -> None:
    """The first one too: an OOM kill does not mean invalid settings."""
    once = (
        f"import os, pathlib; mark = pathlib.Path({str(tmp_path / 'mark')!r}); first = not mark.exists(); mark.touch()"
    )
    program = f"{once}; os.kill(os.getpid(), 9) if first else None; {READY}; time.sleep(600)"
    with captured() as logs:
        asyncio.run(supervisor(program, []).run(2, leave))
    assert [(entry["slot"], entry["status"]) for entry in logs] == [(0, -signal.SIGKILL)]


def test_a_failed_fork_is_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine may be out of processes, memory or descriptors for a while."""
    create = asyncio.create_subprocess_exec
    failures = [BlockingIOError(errno.EAGAIN, "no process")] * 2

    async def scarce(*command: str, **options: Any) -> Process:
        if failures:
            raise failures.pop()
        return await create(*command, **options)

    monkeypatch.setattr("asyncio.create_subprocess_exec", scarce)
    asyncio.run(supervisor(f"{READY}; time.sleep(600)", []).run(2, leave))
    assert failures == []


def test_workers_get_settings_through_a_pipe_and_not_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The environment of a process is readable by other processes of the user."""
    monkeypatch.setenv("CHAOSAPI_ADMIN_TOKEN", "secret")
    program = "import os, sys; told = os.read(int(sys.argv[2]), 100); sys.exit(42 if told == b'settings\\n' and "
    program += "not [name for name in os.environ if name.startswith('CHAOSAPI_')] else 43)"
    with pytest.raises(NotStartedError) as caught:
        asyncio.run(supervisor(program, []).run(1, leave))
    assert caught.value.status == 42


def again(supervisor: WorkerSupervisor, count: int) -> list[tuple[int, int, float]]:
    """Run until three workers have ended; return their slots, statuses and the pauses after them."""

    async def watch() -> list[tuple[int, int, float]]:
        with captured() as logs:
            running = asyncio.create_task(supervisor.run(count, lambda: None))
            async with asyncio.timeout(patience(30)):
                while len(logs) < 3:
                    await asyncio.sleep(0.01)
            leave()
            await running
            return [(entry["slot"], entry["status"], entry["after"]) for entry in logs]

    return asyncio.run(watch())


def test_early_deaths_have_a_growing_back_off() -> None:
    """The first restart is immediate; then the back-off doubles."""
    buried: list[int] = []
    dying = supervisor(f"{READY}; sys.exit(5)", buried)

    assert again(dying, 1) == [(0, 5, 0), (0, 5, 0.5), (0, 5, 1)]
    assert set(buried) == {0}


def test_a_second_signal_kills_unresponsive_workers() -> None:
    """With Ctrl-C twice."""
    buried: list[int] = []
    deaf = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {READY}; time.sleep(600)"

    async def insist() -> None:
        loop = asyncio.get_running_loop()

        def serving() -> None:
            leave()
            loop.call_later(0.2, leave)

        await supervisor(deaf, buried).run(1, serving)

    asyncio.run(insist())
    assert buried == [0]
