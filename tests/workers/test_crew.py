"""The parent, with workers that are small programs of the test."""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence

import pytest
from structlog.testing import capture_logs

from chaosapi.workers.crew import Crew, NotStartedError

READY = "import os, sys, time; os.write(int(sys.argv[2]), b'+')"


def crew(program: str, buried: list[int]) -> Crew:
    """Make a crew whose workers run a Python program; its arguments are the slot and the tether."""

    def command(slot: int, tether: int) -> Sequence[str]:
        return [sys.executable, "-S", "-c", program, str(slot), str(tether)]

    return Crew(command, [], {}, buried.append)


def leave() -> None:
    """Do what Ctrl-C does."""
    os.kill(os.getpid(), signal.SIGTERM)


def test_all_start_once_the_first_one_serves_and_end_with_a_signal() -> None:
    """Whoever waits hears when all of them are there."""
    buried: list[int] = []
    asyncio.run(crew(f"{READY}; time.sleep(600)", buried).run(3, leave))
    assert sorted(buried) == [0, 1, 2]


def test_what_keeps_the_first_from_starting_is_said_once() -> None:
    """The others are not even tried; the status is the worker's."""
    with pytest.raises(NotStartedError) as caught:
        asyncio.run(crew("import sys; assert sys.argv[1] == '0'; sys.exit(7)", []).run(3, leave))
    assert caught.value.status == 7


def test_one_that_cannot_start_ends_those_that_could() -> None:
    """A service is whole, or it is not there."""
    program = f"import sys; sys.exit(7) if sys.argv[1] == '2' else None; {READY}; time.sleep(600)"
    with pytest.raises(NotStartedError) as caught:
        asyncio.run(crew(program, []).run(3, leave))
    assert caught.value.status == 7


def test_one_that_dies_at_once_again_and_again_is_started_ever_later() -> None:
    """At once after its first death; then the pauses double."""
    buried: list[int] = []
    dying = crew(f"{READY}; sys.exit(5)", buried)

    async def watch() -> list[float]:
        with capture_logs() as logs:
            running = asyncio.create_task(dying.run(1, lambda: None))
            async with asyncio.timeout(30):
                while len(logs) < 3:
                    await asyncio.sleep(0.01)
            leave()
            await running
            assert {(entry["event"], entry["status"]) for entry in logs} == {
                ("a worker ended, another one takes its place", 5)
            }
            return [entry["after"] for entry in logs]

    assert asyncio.run(watch()) == [0, 0.5, 1]
    assert set(buried) == {0}


def test_one_that_does_not_listen_is_killed_by_the_second_signal() -> None:
    """Ctrl-C twice, as everywhere."""
    buried: list[int] = []
    deaf = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {READY}; time.sleep(600)"

    async def insist() -> None:
        loop = asyncio.get_running_loop()

        def serving() -> None:
            leave()
            loop.call_later(0.2, leave)

        await crew(deaf, buried).run(1, serving)

    asyncio.run(insist())
    assert buried == [0]
