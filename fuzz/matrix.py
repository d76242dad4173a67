"""The kill switch under every trouble, on every store and port: `python -m fuzz.matrix` prints the table.

In each cell a fault fails every request, the trouble starts, and one kill switch is sent. It must respond with 200, the
replica that answered must serve its users at once, and all others shortly after the trouble's end.
"""

import argparse
import contextlib
import json
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final

from fuzz.stand import DESCRIPTORS, STORES, Replica, Stand
from tests.processes import freeze

GOAL: Final = 250.0
FAULT: Final = {"effect": {"type": "error", "status": 503}, "schedule": {"duration": "10m"}}
_PATIENCE: Final = 30.0
_SERVED: Final = 8
"""Consecutive requests, each on a new connection, that must succeed before all workers count as freed."""
_PAUSE: Final = {"effect": {"type": "pause", "pause": "2s", "every": "2500ms"}, "schedule": {"duration": "10m"}}
_WORST: Final[Mapping[str, Any]] = {
    "effect": {
        "type": "error",
        "status": {str(status): 1 for status in range(400, 440)},
        "body": {"text": "x" * 3000},
    },
    "rate": 0.5,
    "target": {"routes": [f"/nothing/{number}/*" for number in range(20)], "headers": {"x-nobody": "1"}},
    "schedule": {"duration": "1000s", "shape": {"type": "bursts", "on": "100ms", "off": "100ms"}},
    "reason": "r" * 400,
}


@dataclass(frozen=True)
class Cell:
    """The result of one kill switch."""

    trouble: str
    stand: str
    status: int
    took: float
    """Milliseconds."""
    stored: bool | None
    freed: float | None
    """Seconds until users of the answering replica were served; None if they were not."""
    everywhere: float | None
    """Seconds from the end of the trouble until all users were served; None if they were not."""

    @property
    def holds(self) -> bool:
        """Return whether the kill switch worked, in whatever time."""
        return self.status == 200 and self.freed is not None and self.everywhere is not None


@contextmanager
def unreadable(stand: Stand) -> Iterator[None]:
    """Make the stored state unreadable."""
    stand.make_unreadable()
    yield


@contextmanager
def garbage(stand: Stand) -> Iterator[None]:
    """Replace every key of Redis by one of the wrong type."""
    stand.replace_keys()
    yield


@contextmanager
def stalled_output(stand: Stand) -> Iterator[None]:
    """Stop reading the service's output, which has a line for each request."""
    replica = stand.replicas[0]
    replica.reader.send_signal(signal.SIGSTOP)
    try:
        with flooded(stand, seconds=1.5):
            time.sleep(1.5)
        yield
    finally:
        replica.reader.send_signal(signal.SIGCONT)


@contextmanager
def no_descriptors(stand: Stand) -> Iterator[None]:
    """Open more idle connections to the public port than the processes may have descriptors."""
    replica = stand.replicas[0]
    count = (DESCRIPTORS + 100) * (2 if stand.store == "workers" else 1)
    with ExitStack() as stack, replica.inside():
        for _ in range(count):
            link = stack.enter_context(socket.socket())
            link.settimeout(1)
            with contextlib.suppress(OSError):
                link.connect(("127.0.0.1", replica.service.users))
        taken = 0
        while (now := replica.service.resources().fds) > taken:  # until the service has accepted all that it will
            taken = now
            time.sleep(0.3)
        yield


@contextmanager
def flooded(stand: Stand, *, connections: int = 64, seconds: float = 60.0, number: int = 0) -> Iterator[None]:
    """Send eight requests at a time on each connection."""
    replica = stand.replicas[number]
    command = [sys.executable, "-m", "fuzz.flood", str(replica.service.users), str(connections), str(seconds)]
    root = Path(__file__).parent.parent
    with replica.inside(), subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root) as process:
        try:
            next(iter(process.stdout or ()), None)
            yield
        finally:
            process.kill()


@contextmanager
def ten_pauses(stand: Stand) -> Iterator[None]:
    """Inject ten faults that repeatedly block the event loop for two seconds each."""
    for number in range(10):
        stand.replicas[0].call("PUT", f"/admin/faults/pause-{number}", _PAUSE, patience=60)
    time.sleep(0.5)
    yield


@contextmanager
def worst_faults(stand: Stand) -> Iterator[None]:
    """Inject the highest number of the most expensive faults."""
    for number in range(98):
        stand.replicas[0].call("PUT", f"/admin/faults/worst-{number}", _WORST)
    with flooded(stand, connections=8):
        yield


@contextmanager
def frozen(stand: Stand) -> Iterator[None]:
    """Stop one of two workers, or the other replica."""
    if stand.store == "workers":
        victim = stand.replicas[0].workers()[0]
        try:
            freeze([victim])
            yield
        finally:
            victim.send_signal(signal.SIGCONT)
        return
    try:
        freeze(stand.replicas[1].service.family())
        yield
    finally:
        stand.replicas[1].signal(signal.SIGCONT)


TROUBLES: Final[Mapping[str, Callable[[Stand], AbstractContextManager[None]]]] = {
    "none": lambda _: nullcontext(),
    "ten pauses": ten_pauses,
    "100 worst faults": worst_faults,
    "flood of requests": flooded,
    "frozen worker or replica": frozen,
    "no file descriptors left": no_descriptors,
    "stalled output": stalled_output,
    "full disk": lambda stand: stand.full_disk(),
    "unreadable state": unreadable,
    "garbage in Redis": garbage,
}


def applies(trouble: str, store: str) -> bool:
    """Return whether the trouble exists for this store."""
    if trouble == "garbage in Redis":
        return store == "redis"
    if trouble in {"frozen worker or replica", "unreadable state"}:
        return store != "memory"
    return True


def measure(stand: Stand, trouble: str) -> Cell:
    """Cause the trouble, use the kill switch once, and measure when users are served everywhere."""
    first = stand.replicas[0]
    for replica in stand.replicas:
        _until(lambda replica=replica: replica.call("GET", "/admin/faults").status == 200, 20)  # type: ignore[misc]  # mypy reads the default as another parameter
    _until(lambda: first.call("PUT", "/admin/faults/matrix", FAULT).status in {200, 201}, 20)
    for replica in stand.replicas:
        _until(lambda replica=replica: _fails(replica), 10)  # type: ignore[misc]  # as above
    with ExitStack() as stack:
        stack.enter_context(TROUBLES[trouble](stand))
        begun = time.monotonic()
        try:
            reply = first.call("DELETE", "/admin/faults", patience=_PATIENCE)
            status = reply.status
            stored = reply.content.get("stored") if isinstance(reply.content, dict) else None
        except (OSError, HTTPException, ValueError):
            status = 0
            stored = None
        took = 1000 * (time.monotonic() - begun)
        if trouble == "no file descriptors left":
            stack.close()  # users cannot connect before
        freed = _seconds_until_served([first], 15.0)
    everywhere = _seconds_until_served(stand.replicas, 15.0) if freed is not None else None
    with contextlib.suppress(OSError, HTTPException, ValueError):
        first.call("DELETE", "/admin/faults")
    return Cell(trouble, stand.name, status, took, stored, freed, everywhere)


def _until(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, HTTPException, ValueError):
            if condition():
                return
        time.sleep(0.05)


def _fails(replica: Replica) -> bool:
    return replica.call("GET", "/api/products", users=True, patience=5).status == 503


def _seconds_until_served(replicas: list[Replica], seconds: float) -> float | None:
    """Return the seconds until users of all these replicas are served several times in a row; None if they are not."""
    begun = time.monotonic()
    row = 0
    first = None
    while time.monotonic() < begun + seconds:
        well = True
        for replica in replicas:
            try:
                well &= replica.call("GET", "/api/products", users=True, patience=5).status == 200
            except (OSError, HTTPException, ValueError):
                well = False
        first = (first if first is not None else time.monotonic() - begun) if well else None
        row = row + 1 if well else 0
        if row >= _SERVED:
            return first
        time.sleep(0.01 if well else 0.05)
    return None


@contextmanager
def stands(python: str, store: Any, *, apart: bool) -> Iterator[Stand]:
    """Run a stand until the block ends."""
    wanted = 4096
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(wanted, hard)), hard))
    with tempfile.TemporaryDirectory(prefix="matrix-") as name, ExitStack() as stack:
        yield Stand(store, Path(name), stack, apart=apart, python=python)


def main() -> int:
    """Measure every cell; return 1 if a kill switch failed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--only", choices=TROUBLES, action="append", help="only this trouble; may be repeated")
    parser.add_argument("--store", choices=STORES, action="append", help="only this store; may be repeated")
    parser.add_argument("--port", choices=("own", "shared"), action="append", help="only this port")
    parser.add_argument("--rounds", type=int, default=1, help="how often each cell is measured; the slowest counts")
    parser.add_argument("--python", default=sys.executable, help="the interpreter whose chaosapi is tried")
    arguments = parser.parse_args()
    cells: dict[tuple[str, str], Cell] = {}
    columns = []
    for port in arguments.port or ("own", "shared"):
        for store in arguments.store or STORES:
            columns.append(f"{store}, {port} port")
            troubles = [each for each in arguments.only or TROUBLES if applies(each, store)]
            for cell in _column(arguments.python, store, troubles * arguments.rounds, apart=port == "own"):
                print(json.dumps(vars(cell)), flush=True)
                known = cells.get((cell.trouble, cell.stand))
                if known is None or (known.holds, -known.took) > (cell.holds, -cell.took):
                    cells[cell.trouble, cell.stand] = cell
    print(table(cells, columns))
    return 0 if all(cell.holds for cell in cells.values()) else 1


def _column(python: str, store: Any, troubles: list[str], *, apart: bool) -> Iterator[Cell]:
    """Measure the troubles one after the other on one stand, and on a new one after a failure."""
    left = list(troubles)
    while left:
        with stands(python, store, apart=apart) as stand:
            while left:
                cell = measure(stand, left.pop(0))
                yield cell
                if not cell.holds:
                    break


def table(cells: Mapping[tuple[str, str], Cell], columns: list[str]) -> str:
    """Return the table in Markdown: the milliseconds until the kill switch responded, and any failure."""
    lines = [f"| trouble | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    for trouble in TROUBLES:
        row = [_format_cell(cells.get((trouble, column))) for column in columns]
        if any(each != "-" for each in row):
            lines.append(f"| {trouble} | {' | '.join(row)} |")
    return "\n".join(lines)


def _format_cell(cell: Cell | None) -> str:
    if cell is None:
        return "-"
    if cell.status != 200:
        return f"**{cell.status or 'no answer'}**"
    stored = " (not stored)" if cell.stored is False else ""
    if not cell.holds:
        return f"{cell.took:.0f}{stored}, **not ended**"
    return f"{cell.took:.0f}{stored}"


if __name__ == "__main__":
    sys.exit(main())
