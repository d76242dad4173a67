"""Steps of a service's clock while faults are live, while requests are held, and between two starts."""

import struct
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.patience import patience
from tests.planes import Planes, started

pytestmark = pytest.mark.slow

HOUR = 3600.0
_SOON = 60.0
"""Seconds that an action of one second may take on a busy machine; far less than an hour."""
_TURNER = Path(__file__).parents[2] / "fuzz" / "clock"


def turn(clock: Path, seconds: float) -> None:
    """Set the error of the service's clock."""
    if not clock.exists():
        clock.write_bytes(bytes(8))
    with clock.open("r+b") as file:
        file.write(struct.pack("d", seconds))


@contextmanager
def turned(clock: Path, log: Path, store: str = "memory://") -> Iterator[Planes]:
    """Start a service with a fake clock."""
    with started(log, PYTHONPATH=str(_TURNER), CLOCK_FILE=str(clock), CHAOSAPI_STORE=store) as planes:
        yield planes


def soon(condition: Callable[[], object]) -> None:
    """Wait for a condition, much shorter than the steps of the clock."""
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() < begun + patience(_SOON)
        time.sleep(0.05)


def inject(planes: Planes, name: str, effect: dict[str, Any], **fault: Any) -> None:
    """Inject a fault on requests whose header `x-kind` is its name."""
    body = {"effect": effect, "target": {"headers": {"x-kind": name}}, **fault}
    httpx2.put(f"{planes.admin}/admin/faults/{name}", json=body, timeout=patience(30)).raise_for_status()


def get(planes: Planes, kind: str) -> int:
    """Send a request to the shop; return the status."""
    return httpx2.get(f"{planes.users}/api/products", headers={"x-kind": kind}, timeout=patience(_SOON)).status_code


def states(planes: Planes) -> dict[str, str]:
    """Return the state of every fault."""
    faults = httpx2.get(f"{planes.admin}/admin/faults", timeout=patience(30)).json()["faults"]
    return {fault["name"]: fault["state"] for fault in faults}


def reasons(planes: Planes) -> dict[str, str]:
    """Return the faults that were ended because of the clock, with the reasons."""
    entries = httpx2.get(f"{planes.admin}/admin/audit", timeout=patience(30)).json()["entries"]
    return {entry["fault"]: entry["reason"] for entry in entries if entry["actor"] == "clock"}


@pytest.mark.parametrize("step", [-HOUR, HOUR])
def test_every_fault_ends_in_time_after_any_clock_step(tmp_path: Path, step: float) -> None:
    """An active, a holding and a scheduled fault end; none acts again after the clock is corrected."""
    clock = tmp_path / "clock"
    turn(clock, 0)
    with turned(clock, tmp_path / "log") as planes, ThreadPoolExecutor() as threads:
        hour = {"type": "constant", "value": "1h"}
        inject(planes, "held", {"type": "latency", "distribution": hour, "cap": "2h"}, schedule={"duration": "6s"})
        inject(planes, "acts", {"type": "error"}, schedule={"duration": "6s"})
        inject(planes, "later", {"type": "error"}, schedule={"start_after": "6s", "duration": "3s"})
        waiting = threads.submit(get, planes, "held")
        soon(lambda: get(planes, "acts") == 503 and "chaosapi_held_requests 1.0" in planes.metrics())
        turn(clock, step)
        assert waiting.result(patience(_SOON)) == 200
        soon(lambda: set(states(planes).values()) == {"ended"})
        assert [get(planes, kind) for kind in ("held", "acts", "later")] == [200] * 3
        if step < 0:
            soon(lambda: set(reasons(planes)) == {"held", "acts", "later"})
        turn(clock, 0)
        assert set(states(planes).values()) == {"ended"}
        assert [get(planes, kind) for kind in ("held", "acts", "later")] == [200] * 3
        soon(lambda: "chaosapi_held_requests 0.0" in planes.metrics())


def test_a_fault_from_the_future_is_ended_when_the_service_starts_again(tmp_path: Path) -> None:
    """The clock was an hour ahead when the fault was created, and was corrected while the service was down."""
    clock = tmp_path / "clock"
    store = f"sqlite:///{tmp_path / 'faults.db'}"
    turn(clock, HOUR)
    with turned(clock, tmp_path / "first", store) as planes:
        inject(planes, "f", {"type": "error"}, schedule={"duration": "15m"})
        assert get(planes, "f") == 503
    turn(clock, 0)
    with turned(clock, tmp_path / "second", store) as planes:
        assert get(planes, "f") == 200
        soon(lambda: states(planes) == {"f": "ended"})
        entry = httpx2.get(f"{planes.admin}/admin/audit", timeout=patience(30)).json()["entries"][0]
        assert entry["actor"] in {"store", "clock"}
        assert entry["reason"]
        turn(clock, HOUR)
        assert get(planes, "f") == 200
